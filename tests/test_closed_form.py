"""A number of parameters in place of a model: the bytes of the closed-form rules, in the order of a training loop."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vramcast
from vramcast.cli.main import main
from vramcast.closed_form import LARGEST, trace_parameters
from vramcast.errors import UnknownNameError, WorkloadError
from vramcast.rules import training_terms
from vramcast.sources import registry
from vramcast.trace import Component
from vramcast.workload import OPTIMIZERS, PRECISIONS, Workload

MILLION = 10**6


def held(trace, event):
    """Bytes by component just after an event."""
    live = trace.live_blocks(event)
    return {Component(int(trace.components[block])).label: int(trace.sizes[trace.components == trace.components[block]].sum()) for block in live}


def most(trace):
    """The most bytes ever held at once."""
    return max(int(trace.sizes[trace.live_blocks(event)].sum()) for event in range(len(trace)))


@given(
    parameters=st.integers(1, LARGEST),
    optimizer=st.sampled_from(OPTIMIZERS),
    precision=st.sampled_from(PRECISIONS),
    ema=st.sampled_from(["off", "gpu", "cpu"]),
    accumulate=st.integers(1, 3),
    zero_grad=st.sampled_from(["start", "before-backward", "after-step"]),
    set_to_none=st.booleans(),
    steps=st.integers(1, 4),
)
@settings(max_examples=150, deadline=None)
def test_what_is_held_at_the_end_of_a_step_is_what_the_rules_say(parameters, optimizer, precision, ema, accumulate, zero_grad, set_to_none, steps):
    workload = Workload(
        mode="train",
        optimizer=optimizer,
        precision=precision,
        ema=ema,
        accumulate=accumulate,
        zero_grad=zero_grad,
        set_to_none=set_to_none,
        steps=steps,
    )
    trace = trace_parameters(f"params:{parameters}", workload)
    trace.validate()
    terms = training_terms(optimizer, precision, ema=ema == "gpu")
    lasting = sum(math.ceil(term.bytes_per_parameter * parameters) for term in terms if not term.forward_only)
    passing = sum(math.ceil(term.bytes_per_parameter * parameters) for term in terms if term.forward_only)
    assert lasting <= most(trace) <= lasting + passing


@pytest.mark.parametrize(
    ("fields", "bytes_each"),
    [
        ({}, 16),
        ({"precision": "bf16"}, 8),
        ({"precision": "amp-bf16"}, 16),
        ({"precision": "amp-bf16", "accumulate": 2}, 18),
        ({"precision": "amp-bf16", "zero_grad": "before-backward"}, 18),
        ({"precision": "amp-bf16", "set_to_none": False}, 18),
        ({"ema": "gpu"}, 20),
        ({"ema": "cpu"}, 16),
        ({"optimizer": "sgd"}, 8),
        ({"optimizer": "musgd"}, 16),
    ],
)
def test_bytes_per_parameter(fields, bytes_each):
    assert most(trace_parameters("params:1M", Workload(mode="train", **fields))) == bytes_each * MILLION


def test_inference_holds_the_weights_alone():
    trace = trace_parameters("params:1M", Workload(precision="bf16"))
    assert held(trace, len(trace) - 1) == {"weights": 2 * MILLION}


def test_the_estimate_says_what_is_not_in_it():
    estimate = vramcast.estimate("params:100M", Workload.train(precision="amp-bf16"), gpu="rtx 4090")
    assert (estimate.model.source, estimate.model.name, estimate.model.parameters) == ("params", "100M", 100 * MILLION)
    assert estimate.fits
    assert estimate.components["weights"] == estimate.components["gradients"] == 382 * 2**20  # 400 MB in whole blocks of 2 MiB
    assert estimate.components["activations"] == 0
    assert sum(estimate.components.values()) == estimate.peak.device_bytes
    assert estimate.caveats[0].message.startswith("A number of parameters is no model: ")
    assert "Activations" in estimate.caveats[0].message


def test_a_state_that_not_every_parameter_has_is_a_caveat():
    assert [caveat.message for caveat in trace_parameters("params:1M", Workload.train(optimizer="muon")).caveats[1:]] == [
        "state momentum_buffer: matrices only; other parameters are stepped by AdamW, with two states (torch 2.13, torch/optim/_muon.py)."
    ]


def test_more_than_a_card_holds_does_not_fit(capsys):
    assert main(["estimate", "params:7B", "--train", "--gpu", "rtx 4090"]) == 1
    assert capsys.readouterr().out.startswith("does not fit: needs ")


def test_it_is_answered_without_torch():
    code = (
        "import sys; from vramcast.cli.main import main; code = main(['estimate', 'params:100M', '--train', '--format', 'json']); "
        "print('torch' in sys.modules, file=sys.stderr); sys.exit(code)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr == "False\n"
    assert '"parameters": 100000000' in result.stdout


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("params:", "'' is not a count such as 100M or 1.3B."),
        ("params:many", "'many' is not a count such as 100M or 1.3B."),
        ("params:-3", "'-3' is not a count such as 100M or 1.3B."),
        ("params:0", "params:0 names 0 parameters; it must be at least 1 and at most 1,000,000,000,000,000."),
        ("params:9000T", "params:9000T names 9,000,000,000,000,000 parameters; it must be at least 1 and at most 1,000,000,000,000,000."),
    ],
)
def test_a_number_that_is_none_is_refused(capsys, model, told):
    assert main(["estimate", model]) == 2
    assert capsys.readouterr().err == f"vramcast: error: {told}\n"


def test_a_number_has_no_names_to_freeze():
    with pytest.raises(WorkloadError, match="freeze 'stem' and model params:1M exclude each other: a number has no parameters by name"):
        trace_parameters("params:1M", Workload.train(freeze=("stem",)))


def test_a_number_generates_no_text():
    with pytest.raises(WorkloadError, match="new_tokens 8 and model params:1M exclude each other: a number has no keys and values to cache"):
        trace_parameters("params:1M", Workload.infer(new_tokens=8))


def test_a_number_is_no_module_to_be_built():
    with pytest.raises(UnknownNameError, match="no source is called 'params'"):
        registry.find("params:100M")
