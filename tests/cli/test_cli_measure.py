"""`vramcast measure` and `vramcast diff` as they are called."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from vramcast.allocator.replay import replay
from vramcast.cli.main import main
from vramcast.errors import UsageError
from vramcast.measuring import campaign
from vramcast.measuring.card_present import require_card
from vramcast.measuring.jobs import Job
from vramcast.pipeline import estimate
from vramcast.snapshot import save_snapshot, to_snapshot
from vramcast.trace_file import save_trace
from vramcast.workload import Workload

MODEL, WORKLOAD = "torchvision:resnet18", Workload.train(batch=2, image=64)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A forecast in every form."""
    folder = tmp_path_factory.mktemp("forecasts")
    answer = estimate(MODEL, WORKLOAD, "a100 40gb")
    (folder / "forecast.json").write_text(answer.to_json())
    answer.save_snapshot(folder / "snapshot.pickle")
    save_trace(answer.trace, folder / "trace.npz")
    small = estimate(MODEL, WORKLOAD.with_fields(batch=1), "a100 40gb")
    save_snapshot(small.trace, small.timeline, folder / "small.pickle")
    return folder


@pytest.mark.parametrize("forecast", ["forecast.json", "snapshot.pickle", "trace.npz"])
def test_a_forecast_and_its_own_snapshot_do_not_differ(forecast: str, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", str(files / forecast), str(files / "snapshot.pickle"), "--events"]) == 0
    assert "the same on both sides, in order, with the same lifetimes" in capsys.readouterr().out


def test_figures_and_shares_are_shown(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", str(files / "forecast.json"), str(files / "small.pickle")]) == 0
    page = capsys.readouterr().out
    assert "exactly what was recorded" in page
    assert "Where the error comes from" in page


def test_json_holds_what_the_page_says(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", str(files / "snapshot.pickle"), str(files / "small.pickle"), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    shares = found["shares"]
    reserved = next(row for row in found["rungs"] if row["name"] == "reserved")
    assert shares["allocator"] == 0
    assert shares["allocator"] + shares["tracer"] + shares["workspace"] == reserved["forecast"] - reserved["measured"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["measure"], "name a model to measure, or --campaign"),
        (["measure", "resnet18", "--campaign", "smoke"], "one of them"),
        (["measure", "torchvision:resnet18", "--budget", "8m"], "belong to --campaign"),
        (["measure", "--campaign", "smoke", "--batch", "3"], "--campaign and batch exclude each other"),
        (["measure", "--campaign", "smok", "--list"], "no campaign is called 'smok'"),
        (["measure", "--campaign", "smoke", "--budget", "soon"], "is not a time such as"),
        (["measure", "torchvision:resnet18"], "measuring needs an NVIDIA card"),
        (["measure", "--campaign", "smoke"], "measuring needs an NVIDIA card"),
        (["diff", "a", "b", "c"], "two files are compared"),
        (["diff", "absent.json"], "absent.json"),
        (["diff", __file__, __file__], "is neither JSON of"),
    ],
)
def test_wrong_usage_is_refused(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_campaign_is_listed_without_a_card(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["measure", "--campaign", "smoke", "--list", "--results", str(tmp_path / "none")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "open  kernels-gemm"
    assert lines[-1].endswith("nothing yet, 5 left")


def test_a_torch_without_cuda_is_told_before_a_campaign_fails_case_by_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vramcast.measuring.card_present.present_cards", lambda: ("a card",))
    monkeypatch.setattr("torch.version.cuda", None)
    with pytest.raises(UsageError, match="CUDA build of torch"):
        require_card()


@pytest.mark.parametrize(("outcome", "code"), [("ok", 0), ("out_of_memory", 1), ("failed", 3)])
def test_one_case_is_measured_written_and_told(
    outcome: str, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The process of the case is stood for by one that writes at once what a card would have given."""
    monkeypatch.setattr("vramcast.measuring.card_present.require_card", lambda: None)
    monkeypatch.setattr("vramcast.measuring.campaign.run_campaign", _stand_in(outcome))
    path = tmp_path / "case.json"
    assert main(["measure", MODEL, "--train", "--batch", "2", "--image", "64", "-o", str(path)]) == code
    shown = capsys.readouterr().out
    assert f"{MODEL} on NVIDIA A100-SXM4-40GB: {outcome.replace('_', ' ')}" in shown
    assert [file.name for file in tmp_path.iterdir()] == ["case.json"]
    if outcome == "ok":
        assert main(["diff", str(path)]) == 0
        assert "made now for NVIDIA A100-SXM4-40GB" in capsys.readouterr().out
        _claim_more_reserved(path)
        assert main(["diff", str(path)]) == 1, "the replay does not give what was recorded"
        assert "the measured trace, replayed, reserves" in capsys.readouterr().err


def _claim_more_reserved(path: Path) -> None:
    """Let a measurement say that two MiB more were reserved than its own trace takes."""
    from vramcast.measurement_file import load_measurement, save_measurement

    run = load_measurement(path)
    save_measurement(msgspec.structs.replace(run, max_memory_reserved_bytes=run.max_memory_reserved_bytes + 2**21), path)


def _stand_in(outcome: str) -> Callable[..., None]:
    def run_campaign(jobs: Any, _progress: Any) -> None:
        from vramcast.measurement import DeviceReading, MeasuredCard, Measurement, Software
        from vramcast.measurement_file import save_measurement, with_trace
        from vramcast.measuring.switches import wanted
        from vramcast.snapshot import read_snapshot

        request = jobs[0].request
        answer = estimate(MODEL, WORKLOAD)
        recorded = to_snapshot(answer.trace, replay(answer.trace))
        measured = Measurement(
            vramcast="0", id=request.id, model=MODEL, parameters=1, trainable_parameters=1, workload=request.workload,
            card=MeasuredCard(name="NVIDIA A100-SXM4-40GB", memory_bytes=2**35, usable_bytes=2**35, compute_capability=(8, 0), sm_count=108),
            software=Software(driver="", cuda="", cudnn="", python="", platform="", packages={}, variables={}), switches=wanted(request.workload),
            outcome=outcome, message="" if outcome == "ok" else "OutOfMemoryError: no room", max_memory_allocated_bytes=answer.peak.allocated_bytes,
            max_memory_reserved_bytes=answer.peak.reserved_bytes, num_alloc_retries=0, before=DeviceReading(), after_context=DeviceReading(),
            peak=DeviceReading(process_bytes=2**31), phases=(), seconds=1.0,
        )  # fmt: skip
        save_measurement(with_trace(measured, read_snapshot(recorded, answer.trace.subject)), request.output)

    return run_campaign


def test_a_campaign_runs_goes_on_and_is_summed_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the file to the results, each process a stand-in's."""
    stand_in = Path(__file__).parents[1] / "measuring" / "stand_in_process.py"

    def command(_job: Job, request_file: Path) -> list[str]:
        return [sys.executable, str(stand_in), str(request_file), str(tmp_path / "log")]

    monkeypatch.setattr("vramcast.measuring.card_present.require_card", lambda: None)
    monkeypatch.setattr("vramcast.measuring.campaign.run_campaign", functools.partial(campaign.run_campaign, command=command))
    (tmp_path / "mine.toml").write_text('[[group]]\nmodels = ["one", "too large", "crashes"]\n')
    arguments = ["measure", "--campaign", str(tmp_path / "mine.toml"), "--results", str(tmp_path / "results")]
    for _ in range(2):
        assert main(arguments) == 0
        shown = capsys.readouterr()
        assert shown.out.splitlines()[-1].endswith("1 ok, 1 out_of_memory, 1 failed, 0 left")
    assert shown.err == ""  # nothing was left to run
    assert (tmp_path / "log").read_text().splitlines() == ["one", "too large", "crashes"]
    assert len(list((tmp_path / "results").glob("*.json"))) == 3
