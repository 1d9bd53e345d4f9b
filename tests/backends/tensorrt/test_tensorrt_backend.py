"""A module in, an answer out."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources
from typing import Any

import jsonschema
import pytest
from torch import nn

import vramcast
from vramcast.allocator.driver import PAGE_SIZE
from vramcast.answer import Estimate
from vramcast.backends.tensorrt.process import process_context
from vramcast.errors import WorkloadError
from vramcast.gpu.catalogue import find
from vramcast.gpu.context import context_bytes
from vramcast.trace import Component
from vramcast.units import round_up
from vramcast.workload import make

CHANNELS, SIDE = 32, 64
WEIGHTS = (3 * CHANNELS * 9 + CHANNELS) + (CHANNELS * CHANNELS * 9 + CHANNELS)


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, CHANNELS, 3, padding=1), nn.ReLU(), nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.ReLU())


Ask = Callable[..., Estimate]


@pytest.fixture(scope="module")
def ask() -> Ask:
    """Forecast the network; each question once."""
    known: dict[str, Estimate] = {}

    def answer(batch: int = 4, gpu: str | None = "l4", precision: str = "fp32", **tensorrt: Any) -> Estimate:
        key = repr((batch, gpu, precision, tensorrt))
        if key not in known:
            inputs = [f"input={batch}x3x{SIDE}x{SIDE}:float32"]
            workload = vramcast.Workload.infer(backend="tensorrt", precision=precision, inputs=inputs, tensorrt=tensorrt)
            known[key] = vramcast.estimate(network(), workload, gpu)
        return known[key]

    return answer


def held(found: Estimate, component: Component) -> int:
    return int(found.trace.sizes[found.trace.components == component].sum())


def test_weights_plan_and_bindings_are_what_closed_forms_say(ask: Ask) -> None:
    found = ask()
    plane = 4 * SIDE * SIDE * 4
    assert held(found, Component.WEIGHTS) == WEIGHTS * 4
    assert held(found, Component.ACTIVATIONS) == CHANNELS * plane + 4 * plane, "what lies between, and the image padded to four channels"
    assert (held(found, Component.INPUTS), held(found, Component.OUTPUTS)) == (3 * plane, CHANNELS * plane)


def test_half_precision_halves_weights_and_plan_but_no_binding(ask: Ask) -> None:
    full, half = ask(), ask(precision="fp16")
    assert 2 * held(half, Component.WEIGHTS) == held(full, Component.WEIGHTS)
    assert held(half, Component.INPUTS) == held(full, Component.INPUTS)
    assert held(ask(precision="fp16", bindings="engine"), Component.INPUTS) == held(full, Component.INPUTS) // 2


def test_each_context_has_a_plan_and_bindings_of_its_own_and_no_weights(ask: Ask) -> None:
    one, three = ask(), ask(contexts=3)
    assert held(three, Component.WEIGHTS) == held(one, Component.WEIGHTS)
    for component in (Component.ACTIVATIONS, Component.INPUTS, Component.OUTPUTS):
        assert held(three, component) == 3 * held(one, component)


def test_each_request_takes_whole_pages(ask: Ask) -> None:
    found = ask(batch=64)
    requests = [
        WEIGHTS * 4,
        (CHANNELS + 4) * 64 * SIDE * SIDE * 4,
        3 * 64 * SIDE * SIDE * 4,
        CHANNELS * 64 * SIDE * SIDE * 4,
    ]
    assert found.peak.reserved_bytes == sum(round_up(size, PAGE_SIZE) for size in requests)


def test_a_plan_does_not_fit_into_too_small_a_card(ask: Ask) -> None:
    found = ask(batch=64, gpu="300MiB")
    assert found.fits is False
    assert found.out_of_memory is not None


def test_the_json_is_as_its_schema_says(ask: Ask) -> None:
    schema = json.loads(resources.files("vramcast.reports").joinpath("estimate-1.schema.json").read_text(encoding="utf-8"))
    text = json.loads(ask(contexts=3).to_json())
    jsonschema.validate(text, schema)
    assert text["workload"]["tensorrt"]["contexts"] == 3


def test_the_context_ranges_from_a_process_without_torch(ask: Ask) -> None:
    card = find("t4")
    own, torch_process = process_context(card, loads_eagerly=False), context_bytes(card)
    assert own.low < torch_process.low < own.typical == torch_process.typical


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"mode": "train"}, "mode 'train' and backend 'tensorrt'"),
        ({"precision": "amp-bf16"}, "take 'bf16'"),
        ({"new_tokens": 4, "seq": 8}, "an engine runs one forward pass"),
        ({"weights": "int8"}, "weights 'int8' and backend 'tensorrt'"),
        ({"batch": 9, "tensorrt": {"profile": (1, 4, 8)}}, r"batch 9 and tensorrt\.profile 1:4:8"),
        ({"tensorrt": {"profile": (4, 2, 8)}}, r"tensorrt\.profile is 4:2:8"),
        ({"tensorrt": {"contexts": 0}}, r"tensorrt\.contexts is 0"),
        ({"tensorrt": {"workspace": -1}}, r"tensorrt\.workspace is -1"),
    ],
)
def test_what_an_engine_does_not_do_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(WorkloadError, match=told):
        make({"mode": "infer", "backend": "tensorrt"} | fields)


@pytest.mark.parametrize(("card", "told"), [("t4", True), ("l4", False)])
def test_fp8_is_for_cards_that_have_it(card: str, told: bool) -> None:
    """Tensor cores of Ada and later multiply it (support matrix of TensorRT 10)."""
    workload = vramcast.Workload.infer(backend="tensorrt", image=SIDE, precision="fp16", tensorrt={"quantization": "fp8"})
    answer = vramcast.estimate(network, workload, card)
    assert any("no fp8 tensor cores" in caveat.message for caveat in answer.caveats) == told
    assert answer.components["weights"] == WEIGHTS - 2 * CHANNELS + 4 * 2 * CHANNELS, "8 bits; biases stay in fp32"


def test_a_profile_is_built_for_its_largest_batch() -> None:
    workload = vramcast.Workload.infer(backend="tensorrt", image=32, tensorrt={"profile": (1, 2, 6)})
    found = vramcast.estimate("torchvision:squeezenet1_1", workload)
    assert held(found, Component.INPUTS) == 6 * 3 * 32 * 32 * 4
