"""The project's own measurements: runs of a card that did what was forecast, and runs that came to nothing."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest

from vramcast.allocator.replay import replay
from vramcast.cli.main import main
from vramcast.comparison.reforecast import card_of
from vramcast.environment import Environment
from vramcast.measurement import DeviceReading, Failure, MeasuredCard, Measurement, Software, Switches
from vramcast.measurement_file import save_measurement, with_trace
from vramcast.pipeline import estimate
from vramcast.units import GIB, MIB
from vramcast.validation import summary
from vramcast.validation.own_measurements import OwnMeasurements
from vramcast.validation.page import write
from vramcast.validation.summary import Examined, summarize
from vramcast.workload import Workload

MODEL = "timm:test_resnet"
ASKED = Workload.train(batch=2, image=64, optimizer="momentum", classes=10)
RAN = ASKED.with_fields(environment=Environment(torch="2.13.0", cublas_workspace=":4096:8", cudnn_tf32=False))
"""What the process really had: other switches than were asked for."""
SLICE = MeasuredCard(
    name="NVIDIA H100 80GB HBM3 MIG 1g.10gb", memory_bytes=10 * GIB, usable_bytes=10_200_547_328, compute_capability=(9, 0), sm_count=16
)
"""A card that no catalogue has."""
CONTEXT = 300 * MIB


def ran(name: str = "a-case", **fields: object) -> Measurement:
    """A run of a card that did exactly what is forecast for what the process really had."""
    answer = estimate(MODEL, RAN, card_of(SLICE))
    reserved = replay(answer.trace).peak_reserved
    switches = Switches(
        cudnn_benchmark=False, cudnn_deterministic=False, cudnn_allow_tf32=False, matmul_allow_tf32=False, deterministic_algorithms=False
    )
    software = Software(
        driver="580.1", cuda="13.0", cudnn="91200", python="3.11", platform="Linux", packages={"torch": "2.13.0"},
        variables={"CUBLAS_WORKSPACE_CONFIG": ":4096:8"},
    )  # fmt: skip
    measured = Measurement(
        vramcast="0.1.0", id=name, model=MODEL, parameters=1, trainable_parameters=1, workload=ASKED, card=SLICE, software=software,
        switches=switches, outcome="ok", max_memory_allocated_bytes=answer.peak.allocated_bytes, max_memory_reserved_bytes=reserved,
        num_alloc_retries=0, before=DeviceReading(), after_context=DeviceReading(), peak=DeviceReading(process_bytes=reserved + CONTEXT), phases=(),
        seconds=1.0,
    )  # fmt: skip
    return msgspec.structs.replace(with_trace(measured, answer.trace), **fields)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one good run, one whose figures the allocator's simulation does not give, and five that are no cases."""
    folder = tmp_path_factory.mktemp("measured")
    results = folder / "campaign" / "h100"
    results.mkdir(parents=True)
    good = ran()
    save_measurement(good, results / "a-case.json")
    other = {"max_memory_reserved_bytes": good.max_memory_reserved_bytes + 2 * MIB}
    save_measurement(msgspec.structs.replace(good, id="odd-allocator", **other), results / "odd-allocator.json")
    full = {"outcome": "out_of_memory", "message": "OutOfMemoryError: no room", "num_alloc_retries": 1}
    save_measurement(msgspec.structs.replace(good, id="full", **full), results / "full.json")
    broken = {"outcome": "failed", "message": "ValueError: wrong shape\n  in a layer", "trace": b""}
    save_measurement(msgspec.structs.replace(good, id="broken", **broken), results / "broken.json")
    newer = {"software": msgspec.structs.replace(good.software, packages={"torch": "3.0"}), "trace": b""}
    save_measurement(msgspec.structs.replace(good, id="newer", **newer), results / "newer.json")
    failure = Failure(id="died", reason="Traceback …\nRuntimeError: the driver went away", request=msgspec.Raw(b"{}"))
    (results / "died.failed.json").write_bytes(msgspec.json.encode(failure))
    (results / "cut-off.json").write_text('{"schema": "vramcast/meas')
    return folder


def test_a_run_is_a_case_for_each_of_its_figures(campaign: Path) -> None:
    cases, _ = OwnMeasurements().read(str(campaign))
    good = [case for case in cases if case.id.startswith("a-case on NVIDIA H100")]
    assert [case.metric for case in good] == ["allocated", "reserved", "device"]
    assert good[2].measured_bytes - good[1].measured_bytes == CONTEXT
    assert len({case.id for case in cases}) == len(cases) == 6
    for case in good:
        assert case.workload == RAN, "what ran, not what was asked for"
        assert case.card is not None
        assert (case.card.usable_bytes, case.card.sm_count) == (SLICE.usable_bytes, 16)
        assert case.environment.notes == "driver 580.1; device memory by nvml process"


def test_runs_without_a_peak_are_named_with_the_reason(campaign: Path) -> None:
    _, unexpressed = OwnMeasurements().read(str(campaign))
    assert {row.id.partition(" on ")[0]: row.reason for row in unexpressed} == {
        "full": "the run was out of memory before its peak",
        "broken": "the program failed: ValueError: wrong shape",
        "newer": "environment.torch is '3.0'; known are 1.8 to 2.15.",
        "died": "the process ended badly: RuntimeError: the driver went away",
        "cut-off.json": "the file is no measurement that this version reads",
    }


def test_the_forecast_is_for_what_ran(campaign: Path) -> None:
    """The card did what is forecast for the slice, its switches and its variables; nothing else gives its figures."""
    case_set = OwnMeasurements()
    case = next(case for case in case_set.read(str(campaign))[0] if case.id.startswith("a-case") and case.metric == "allocated")
    assert case_set.forecast(case).allocated_bytes == case.measured_bytes
    assert case_set.forecast(msgspec.structs.replace(case, workload=ASKED)).allocated_bytes != case.measured_bytes


def test_real_traces_replay_to_the_byte_or_are_named(campaign: Path) -> None:
    (law,) = OwnMeasurements().laws(str(campaign))
    assert law.of == 2, "a run that gave cached segments back shows nothing"
    assert law.broken == (f"odd-allocator on {SLICE.name}",)


def test_a_damaged_trace_breaks_the_law_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "campaign").mkdir()
    save_measurement(ran(trace=b"no trace"), tmp_path / "campaign" / "a-case.json")
    (law,) = OwnMeasurements().laws(str(tmp_path))
    assert law.broken == (f"a-case on {SLICE.name}",)
    assert len(OwnMeasurements().read(str(tmp_path))[0]) == 3


def test_a_case_measured_twice_counts_once(campaign: Path) -> None:
    before = OwnMeasurements().read(str(campaign))[0]
    again = campaign / "campaign" / "later.json"
    save_measurement(ran(max_memory_allocated_bytes=1), again)
    try:
        now = OwnMeasurements().read(str(campaign))[0]
    finally:
        again.unlink()
    assert [case.id for case in now] == [case.id for case in before]
    assert {case.metric: case.measured_bytes for case in now if case.id.startswith("a-case")}["allocated"] == 1


def test_the_command_judges_them_against_the_targets(campaign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["validate", "measured", "--measured", str(campaign), "--results", str(tmp_path / "results.jsonl"), "--processes", "1"]
    assert main([*asked, "--document", str(tmp_path / "accuracy.md")]) == 1, "a law is broken"
    printed, complaint = capsys.readouterr()
    assert complaint.startswith("broken law: recorded traces, replayed, reserve what was recorded")
    assert "not of odd-allocator" in complaint
    assert "measured: 11 rows, 6 of them cases, 6 forecast" in printed
    assert "to the byte (runs in which no cached segment had to be given back): 1 of 2; not of odd-allocator on NVIDIA H100" in printed
    assert "met: measured, own cases, allocated, median: 0.00 %, bound 0.5 % (2 cases)" in printed
    assert "missed: measured, own cases, device, median" in printed, "the context of this run is another than is forecast"
    page = (tmp_path / "accuracy.md").read_text(encoding="utf-8")
    assert "Recorded traces, replayed, reserve what was recorded" in page
    assert "| own cases, allocated, median | at most 0.5 % | 0.00 % | 2 | met |" in page
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 1, "six figures of two runs of one program: one forecast"
    assert main([*asked, "--format", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, json.loads((Path(summary.__file__).parent / "validation-1.schema.json").read_bytes()))
    assert found["sets"][0]["laws"][0]["of"] == 2


def test_a_law_that_holds_is_no_complaint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "campaign").mkdir()
    save_measurement(ran(), tmp_path / "campaign" / "a-case.json")
    assert main(["validate", "measured", "--measured", str(tmp_path), "--results", str(tmp_path / "results.jsonl"), "--processes", "1"]) == 0
    assert "broken" not in capsys.readouterr().err


def test_without_a_measurement_there_is_no_case_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vramcast.validation.own_measurements._FOLDER", "absent")
    case_set = OwnMeasurements()
    assert case_set.read(str(tmp_path)) == ([], [])
    assert case_set.laws(str(tmp_path)) == ()
    examined = [Examined(case_set=case_set, expressed=0, outcomes=(), unexpressed=())]
    write(tmp_path / "accuracy.md", summarize(examined), examined, None, "vramcast validate")
    page = (tmp_path / "accuracy.md").read_text(encoding="utf-8")
    assert "Nothing is measured yet for [measured](#measured)." in page
    assert "\nNo case yet.\n" in page
    assert "| own cases, reserved, median | at most 1.5 % | – | 0 | no case yet |" in page
    assert "fp16 rows, allocated, median | at most 1 % | – | 0 | not run |" in page, "a set that was not asked for"
