"""A family made once answers later, in another process, without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import vramcast
from vramcast.errors import WorkloadError

MODEL = "torchvision:resnet18"
ASK = """
import json, sys, vramcast
family = vramcast.load_family(sys.argv[1])
trace = family.at((7, 96, 128))
peak = vramcast.forecast(trace, "rtx 4090", vramcast.Workload.train(batch=7, image=(96, 128), steps=1)).peak
print(json.dumps([peak.allocated_bytes, peak.reserved_bytes, "torch" in sys.modules]))
"""


def test_a_saved_family_answers_without_torch(tmp_path: Path) -> None:
    workload = vramcast.Workload.train(steps=1)
    family = vramcast.trace_family(MODEL, workload, range(1, 9), images=[64, 96, 128, (160, 160)], gpu="rtx 4090")
    vramcast.save_family(family, tmp_path / "family.npz")
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", ASK, str(tmp_path / "family.npz")], capture_output=True, text=True, check=True)
    peak = vramcast.estimate(MODEL, workload.with_fields(batch=7, image=(96, 128)), "rtx 4090").peak
    assert json.loads(done.stdout) == [peak.allocated_bytes, peak.reserved_bytes, False]


@pytest.mark.parametrize("options", [{"batches": []}, {"batches": [1], "images": [64], "seqs": [8]}])
def test_wrong_requests_are_refused(options: dict[str, list[int]]) -> None:
    with pytest.raises(WorkloadError, match="one batch or more, and either images or seqs"):
        vramcast.trace_family(MODEL, vramcast.Workload.infer(), **options)  # type: ignore[arg-type]
