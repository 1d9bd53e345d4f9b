"""The public face: lazy names, `estimate` for names, modules and callables, `forecast` for traces."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import torch
from torch import nn

import vramcast
from vramcast.reports.json import encode

SCHEMA = json.loads((Path(vramcast.__file__).parent / "reports" / "estimate-1.schema.json").read_text())
TRAINING = vramcast.Workload.train(batch=4, image=32, optimizer="adamw")


class Tied(nn.Module):
    """A small image model in which two layers share a weight, and which has a buffer."""

    def __init__(self, classes: int = 7) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.first, self.second = nn.Linear(16, 16), nn.Linear(16, 16)
        self.second.weight = self.first.weight
        self.head = nn.Linear(16, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.second(self.first(self.norm(self.stem(x)).relu().mean((2, 3)))))


@pytest.fixture(scope="module")
def answer() -> vramcast.Estimate:
    return vramcast.estimate(Tied(), TRAINING, gpu="rtx 4090")


def in_a_new_process(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_loads_neither_torch_nor_numpy() -> None:
    assert in_a_new_process("import sys, vramcast; dir(vramcast); print({'torch', 'numpy', 'click'} & set(sys.modules))") == "set()"


def test_every_public_name_is_found() -> None:
    assert set(vramcast.__all__) == set(dir(vramcast))
    assert all(getattr(vramcast, name) is not None for name in vramcast.__all__)


def test_importing_the_module_of_traces_leaves_the_function_in_its_place() -> None:
    code = "import vramcast.trace_file; from vramcast.trace import Trace; import vramcast; print(vramcast.trace.__name__, vramcast.Trace is Trace)"
    assert in_a_new_process(code) == "trace True"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        vramcast.no_such_name  # type: ignore[attr-defined]  # noqa: B018


def test_components_add_up_to_what_the_process_holds(answer: vramcast.Estimate) -> None:
    assert sum(answer.components.values()) == answer.peak.device_bytes
    assert answer.fits is True
    assert answer.peak.reserved_bytes == answer.timeline.peak_reserved == int(answer.timeline.reserved.max())


def test_the_json_has_the_fields_of_the_value_and_no_columns(answer: vramcast.Estimate) -> None:
    written = json.loads(answer.to_json())
    jsonschema.validate(written, SCHEMA)
    assert list(written) == list(answer.estimate.__struct_fields__)
    assert written["peak"]["reserved_bytes"] == answer.peak.reserved_bytes
    assert answer.to_json().encode() == encode(answer.estimate)


def test_repr_is_two_lines_with_verdict_and_peak(answer: vramcast.Estimate) -> None:
    first, second = repr(answer).splitlines()
    assert "Tied" in first
    assert "RTX 4090" in first
    assert "fits" in second
    assert f"{answer.peak.device_bytes / 2**30:.2f} GiB" in second


def test_a_snapshot_is_saved(answer: vramcast.Estimate, tmp_path: Path) -> None:
    answer.save_snapshot(tmp_path / "memory.pickle")
    snapshot = pickle.loads((tmp_path / "memory.pickle").read_bytes())
    allocations = [entry for entry in snapshot["device_traces"][0] if entry["action"] == "alloc"]
    assert len(allocations) == len(answer.trace.sizes)


def test_a_module_is_left_as_it_is() -> None:
    module = Tied().half().eval()
    module.stem.weight.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    forward = module.forward
    answer = vramcast.estimate(module, TRAINING.with_fields(precision="fp16"))
    assert not module.training
    assert module.forward == forward
    assert all(tensor.device.type == "cpu" and torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert answer.model.trainable_parameters == answer.model.parameters - module.stem.weight.numel()


def test_a_module_and_the_callable_that_builds_it_need_the_same(answer: vramcast.Estimate) -> None:
    built = vramcast.estimate(Tied, TRAINING, gpu="rtx 4090")
    assert built.peak == answer.peak
    assert built.components == answer.components
    # The shared weight counts once.
    assert answer.model.parameters == sum(parameter.numel() for parameter in Tied().parameters())


def test_a_callable_takes_the_number_of_classes_and_a_module_does_not() -> None:
    more = vramcast.estimate(Tied, TRAINING.with_fields(classes=100))
    assert more.model.parameters == sum(parameter.numel() for parameter in Tied(100).parameters())
    with pytest.raises(vramcast.ModelError, match="number of classes"):
        vramcast.estimate(Tied(), TRAINING.with_fields(classes=100))


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(vramcast.UsageError, match=r"nn\.Module"):
        vramcast.estimate(42, TRAINING)  # type: ignore[arg-type]


def test_forecasting_a_trace_again_gives_the_same_answer(answer: vramcast.Estimate, tmp_path: Path) -> None:
    vramcast.save_trace(answer.trace, tmp_path / "run.vramtrace")
    again = vramcast.forecast(vramcast.load_trace(tmp_path / "run.vramtrace"), "rtx 4090", TRAINING)
    assert again.estimate == answer.estimate


def test_a_trace_alone_says_that_its_workload_is_not_known(answer: vramcast.Estimate) -> None:
    again = vramcast.forecast(answer.trace, "24GiB")
    assert again.workload["mode"] == "train"
    assert again.workload["steps"] == 2
    assert any("other fields are defaults" in caveat.message for caveat in again.caveats)


def test_a_card_that_is_too_small_is_an_answer(answer: vramcast.Estimate) -> None:
    small = vramcast.forecast(answer.trace, "500MiB", TRAINING)
    assert small.fits is False
    assert small.headroom_bytes is not None
    assert small.headroom_bytes < 0
    assert small.out_of_memory is not None
    assert "does not fit" in repr(small)
