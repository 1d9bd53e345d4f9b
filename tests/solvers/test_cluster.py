"""A sweep on a cluster of several processes, one of which is killed half-way: nothing is lost, nothing is doubled."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from vramcast.errors import UsageError
from vramcast.solvers.sweep import engines
from vramcast.solvers.sweep.engines import engine_named
from vramcast.solvers.sweep.grid import grid
from vramcast.solvers.sweep.run import combinations, run
from vramcast.workload import Workload

distributed = pytest.importorskip("distributed")


def test_a_worker_may_be_killed(tmp_path: Path) -> None:
    workload = Workload.train(steps=1, image=64)
    asked = grid("torchvision:resnet18", combinations([({}, workload)], []), {"batch": tuple(range(1, 97))}, ["batch"])
    output, told = tmp_path / "sweep.json", []
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
        address = cluster.scheduler_address.removeprefix("tcp://")

        def kill_one_half_way(done: int, total: int) -> None:
            told.append(done)
            if done >= total // 4 and len(killed) == 0:
                killed.append(next(iter(processes.values())))
                os.kill(killed[0], signal.SIGKILL)

        killed: list[int] = []
        with distributed.Client(cluster, set_as_default=False) as client:
            processes = client.run(os.getpid)
        records = run(asked, engine_named(f"dask://{address}", 1), output, kill_one_half_way)
    assert len(killed) == 1
    assert told == sorted(told)
    written = [index for line in (tmp_path / "sweep.json.partial").read_text().splitlines()[1:] for index, _ in json.loads(line)["records"]]
    assert sorted(written) == list(range(len(asked)))
    assert records == run(asked, engine_named(None, 1), None)


def test_a_scheduler_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "CONNECT_SECONDS", 1)
    asked = grid("torchvision:resnet18", combinations([({}, Workload())], []), {"batch": (1, 2)}, ["batch"])
    with pytest.raises(UsageError, match="no scheduler answers there"):
        run(asked, engine_named("dask://127.0.0.1:9", 1), None)
