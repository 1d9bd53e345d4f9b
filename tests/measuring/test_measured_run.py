"""A whole measured run on the host, its device told by recorded data: every line but the calls into CUDA."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from recorded_meters import CARD, CONTEXT, HELD_BY_OTHERS, SOFTWARE, RecordedMeters, as_recorded
from torch import nn

from vramcast.allocator.replay import replay
from vramcast.backends.eager.batching import trace_workload
from vramcast.comparison.compare import compare
from vramcast.comparison.reforecast import card_of, reforecast, workload_of
from vramcast.comparison.side import of_estimate, of_measurement
from vramcast.environment import Environment
from vramcast.errors import InvalidFileError, WorkloadError
from vramcast.gpu.spec import GpuSpec
from vramcast.measurement import Measurement
from vramcast.measurement_file import LARGEST_FILE, load_measurement, save_measurement, with_trace
from vramcast.measuring.measure import Asked, build, is_out_of_memory, measure
from vramcast.measuring.switches import switched, wanted
from vramcast.pipeline import estimate
from vramcast.snapshot import read_snapshot
from vramcast.snapshot.marks import read_mark
from vramcast.sources import registry
from vramcast.sources.interface import Model
from vramcast.trace import Event, Phase
from vramcast.units import MIB
from vramcast.workload import Workload
from vramcast.workspace.insert import insert_scratch
from vramcast.workspace.stack import Stack

MODEL = "timm:test_resnet"
TRAIN = Workload.train(batch=2, image=64, precision="fp32", optimizer="momentum", classes=10)
A100 = GpuSpec(
    name=CARD.name, vendor="nvidia", memory_bytes=CARD.memory_bytes, usable_bytes=CARD.usable_bytes, compute_capability=(8, 0), sm_count=108
)


def run(meters: RecordedMeters, workload: Workload = TRAIN, model: Model | None = None) -> Measurement:
    model = model or registry.find(MODEL)
    asked = Asked(id="a-case", model=f"{model.source}:{model.name}", workload=workload)
    return measure(asked, model, build(model, workload), meters)


@pytest.fixture(scope="module")
def measured() -> tuple[Measurement, RecordedMeters]:
    """A run whose card did exactly what a forecast says."""
    forecast = estimate(MODEL, TRAIN, A100)
    meters = RecordedMeters(as_recorded(forecast.trace, forecast.timeline), forecast.peak.reserved_bytes, forecast.peak.allocated_bytes)
    return run(meters), meters


def test_phases_are_those_of_the_program(measured: tuple[Measurement, RecordedMeters]) -> None:
    measurement, _ = measured
    one_step = ["zero_grad", "staging", "forward", "backward", "optimizer"]
    assert [phase.name for phase in measurement.phases] == ["load", "staging", *one_step, *one_step]
    assert [phase.step for phase in measurement.phases] == [-1, 0, *[0] * 5, *[1] * 5]
    assert measurement.outcome == "ok"
    assert measurement.parameters == sum(parameter.numel() for parameter in registry.find(MODEL).build(10).parameters())


def test_events_are_marked_by_phase_and_module(measured: tuple[Measurement, RecordedMeters]) -> None:
    _, meters = measured
    marks = [read_mark(text) for text in meters.marks]
    places = {(mark.phase.name, mark.phase.step, mark.module) for mark in marks if mark}
    assert places >= {("load", -1, ""), ("forward", 0, "layer1.0.conv1"), ("forward", 1, "fc"), ("backward", 1, ""), ("optimizer", 0, "")}
    numbers = [mark.number for mark in marks if mark]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) == len(measured[0].phases)
    entered = [mark.module for mark in marks if mark and mark.phase == Phase("forward", 0)]
    assert entered[0] == entered[-1] == ""  # back in the outermost place when the forward pass is over


def test_meters_are_asked_in_the_order_that_keeps_figures_clean(measured: tuple[Measurement, RecordedMeters]) -> None:
    measurement, meters = measured
    assert meters.asked[:3] == ["start", "record", "reset"]
    assert meters.asked[-1] == "snapshot"
    assert meters.asked.count("synchronize") == len(measurement.phases)
    assert measurement.before.process_bytes is None
    assert measurement.after_context.process_bytes == CONTEXT
    assert measurement.process_bytes(measurement.peak) == CONTEXT + meters.reserved
    assert measurement.context_bytes == CONTEXT


def test_a_card_that_does_what_was_forecast_leaves_no_difference(measured: tuple[Measurement, RecordedMeters], tmp_path: Path) -> None:
    """Through the file, the snapshot, and a forecast made anew: no byte and no event differs."""
    save_measurement(measured[0], tmp_path / "case.json")
    measurement = load_measurement(tmp_path / "case.json")
    assert measurement == measured[0]
    assert (tmp_path / "case.json").stat().st_size < LARGEST_FILE / 4
    again = reforecast(measurement, lambda _: None)
    comparison = compare(of_estimate(again, again.trace, "forecast"), of_measurement(measurement, "measured"))
    assert comparison.events is not None
    assert comparison.events.are_equal
    assert comparison.events.by_phase
    assert comparison.events.pairs == len(again.trace.sizes)
    assert comparison.shares is not None
    assert comparison.shares.is_exact
    assert (comparison.shares.tracer, comparison.shares.workspace) == (0, 0)
    assert all(row.difference == 0 for row in comparison.components if row.name != "cuda_context")
    assert [row.difference for row in comparison.rungs[:2]] == [0, 0]


def test_a_run_in_which_cudnn_searched_is_replayed_exactly() -> None:
    """The cache that the search empties is told by what is given back alone: a card's recorder has no Python stack for it."""
    forecast = estimate(MODEL, TRAIN.with_fields(cudnn_benchmark=True), A100)
    trace = read_snapshot(as_recorded(forecast.trace, forecast.timeline), forecast.trace.subject, may_have_retried=False)
    assert (trace.kinds == Event.EMPTY_CACHE).sum() > 10
    again = replay(trace)
    assert (again.peak_reserved, again.reserved[-1]) == (forecast.timeline.peak_reserved, forecast.timeline.reserved[-1])


def test_figures_are_what_a_case_needs(measured: tuple[Measurement, RecordedMeters]) -> None:
    measurement, meters = measured
    assert {figure.metric: figure.measured_bytes for figure in measurement.figures()} == {
        "allocated": meters.allocated,
        "reserved": meters.reserved,
        "device": CONTEXT + meters.reserved,
    }
    assert measurement.environment()["gpu"] == CARD.name
    assert measurement.environment()["torch"] == "2.13.0"
    assert card_of(measurement.card).usable_bytes == CARD.usable_bytes


def test_the_forecast_of_a_run_takes_the_switches_of_the_run(measured: tuple[Measurement, RecordedMeters]) -> None:
    trace = trace_workload(registry.find(MODEL), TRAIN, (8, 0), lambda _: None)
    strict = msgspec.structs.replace(measured[0], switches=msgspec.structs.replace(measured[0].switches, cudnn_allow_tf32=False))
    sizes = {}
    for measurement in (strict, measured[0]):
        stack = Stack(allow_tf32=measurement.switches.cudnn_allow_tf32, device_memory=CARD.usable_bytes)
        sizes[stack.allow_tf32] = reforecast(measurement, lambda _: None).trace.sizes
        np.testing.assert_array_equal(sizes[stack.allow_tf32], insert_scratch(trace, stack).sizes)
    assert not np.array_equal(sizes[True], sizes[False])


def test_the_forecast_of_a_run_takes_the_versions_and_variables_of_the_run(measured: tuple[Measurement, RecordedMeters]) -> None:
    variables = {"CUDA_MODULE_LOADING": "EAGER", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    other = msgspec.structs.replace(SOFTWARE, packages={"torch": "2.8.0+cu128"}, variables=variables)
    ran = workload_of(msgspec.structs.replace(measured[0], software=other))
    assert ran.environment == Environment(torch="2.8.0+cu128", module_loading="eager", cublas_workspace=":4096:8")
    assert ran.with_fields(environment=TRAIN.environment) == TRAIN
    assert workload_of(measured[0]).environment == Environment(torch="2.13.0")


class _Full(nn.Module):
    """Asks for more than there is, in its second layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.first(x)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80.00 GiB.")


class _Broken(_Full):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise ValueError("wrong shape")


INPUT = Workload.train(inputs=["x=2x4:float32"], batch=2)


@pytest.mark.parametrize(
    ("module", "outcome", "words"), [(_Full, "out_of_memory", "Tried to allocate"), (_Broken, "failed", "ValueError: wrong shape")]
)
def test_a_program_that_ends_early_is_a_result(module: type[nn.Module], outcome: str, words: str) -> None:
    meters = RecordedMeters({"segments": [], "device_traces": [[]]})
    measurement = run(meters, INPUT, Model(name="toy", source="test", task="generic", build=lambda _: module()))
    assert measurement.outcome == outcome
    assert words in measurement.message
    assert measurement.phases[-1].name == "forward"
    assert measurement.figures() == ()
    assert any("nothing was recorded" in note for note in measurement.notes)


def test_a_library_that_gets_no_memory_is_out_of_memory_too() -> None:
    assert is_out_of_memory(RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_without_nvmls_count_the_difference_of_the_card_stands_in() -> None:
    meters = RecordedMeters({"segments": [], "device_traces": [[]]}, is_nvml_hidden=True)
    measurement = run(meters, INPUT.with_fields(mode="infer"), Model(name="toy", source="test", task="generic", build=lambda _: nn.Linear(4, 4)))
    assert measurement.outcome == "failed"  # nn.Linear takes `input`, not `x`
    assert measurement.method == "nvml device difference"
    assert measurement.process_bytes(measurement.peak) == CONTEXT + meters.reserved
    assert measurement.before.used_bytes == HELD_BY_OTHERS


def test_a_trace_too_large_for_the_file_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch, measured: tuple[Measurement, RecordedMeters]) -> None:
    monkeypatch.setattr("vramcast.measurement_file.LARGEST_FILE", 3000)
    again = with_trace(msgspec.structs.replace(measured[0], trace=b""), measured[0].read_trace())
    assert again.trace == b""
    assert again.read_trace() is None
    assert any("is left out" in note for note in again.notes)


def test_files_that_are_no_measurements_are_refused(tmp_path: Path) -> None:
    for text in (b"", b"[]", b'{"schema": "vramcast/estimate-1"}', b'{"schema": "vramcast/measurement-1"}', b"\xff\xfe"):
        (tmp_path / "odd.json").write_bytes(text)
        with pytest.raises(InvalidFileError, match=r"odd\.json"):
            load_measurement(tmp_path / "odd.json")
    with pytest.raises(InvalidFileError, match="cannot be read"):
        load_measurement(tmp_path / "absent.json")


def test_a_workload_that_does_not_go_with_the_model_is_refused_before_it_is_built() -> None:
    with pytest.raises(WorkloadError, match="exclude each other"):
        build(registry.find("timm:vit_tiny_patch16_224"), Workload.train(seq=128))


def test_switches_are_set_for_the_run_and_put_back() -> None:
    def standing() -> tuple[bool, bool, bool, int]:
        cudnn = torch.backends.cudnn
        return cudnn.allow_tf32, cudnn.benchmark, torch.backends.cuda.matmul.allow_tf32, torch.get_deterministic_debug_mode()

    before, off = standing(), {"cudnn_tf32": False, "deterministic": True}
    with switched(wanted(Workload.train(precision="tf32", cudnn_benchmark=True))) as switches:
        assert standing() == (True, True, True, 0)
        assert (switches.cudnn_allow_tf32, switches.matmul_allow_tf32, switches.cudnn_deterministic) == (True, True, False)
    with switched(wanted(Workload.train(precision="fp32"))):
        assert standing() == (True, False, False, 0)  # torch's defaults
    with switched(wanted(Workload.train(precision="amp-fp16", environment=off))) as switches:
        assert standing() == (False, False, False, 1)  # 1: warns
        assert (switches.cudnn_deterministic, switches.deterministic_algorithms) == (True, True)
    assert standing() == before


@pytest.mark.parametrize(("reserved", "is_said"), [(2 * MIB, False), (4 * MIB, True)])
def test_the_snapshot_and_torchs_counter_are_held_against_each_other(reserved: int, is_said: bool) -> None:
    entries = [{"action": "segment_alloc", "addr": 0, "size": 2 * MIB}, {"action": "alloc", "addr": 0, "size": 512, "user_metadata": "0|forward|0|"}]
    meters = RecordedMeters({"segments": [{"address": 0, "blocks": [{"size": 2 * MIB, "state": "inactive"}]}], "device_traces": [entries]}, reserved)
    workload = Workload.infer(inputs=["input=2x4"])
    measurement = run(meters, workload, Model(name="toy", source="test", task="generic", build=lambda _: nn.Linear(4, 4)))
    assert measurement.outcome == "ok"
    assert any("come to" in note for note in measurement.notes) is is_said
