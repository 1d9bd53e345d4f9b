"""A user's module, loss or builder that fails: the message says which, on what, and why."""

from __future__ import annotations

import textwrap

import pytest

from vramcast.cli.main import main

NETS = """
import sys
from collections import OrderedDict

import torch
from torch import nn


class Stem(nn.Module):
    def forward(self, features, mask=None):
        raise KeyError("no such level")


class Pyramid(nn.Module):
    def __init__(self):
        super().__init__()
        self.entry = nn.Linear(8, 8)
        self.levels = nn.Sequential(nn.Linear(8, 6), Stem())

    def forward(self, x):
        return self.levels(self.entry(x))


class Forgiving(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.exit = Stem(), nn.Linear(8, 8)

    def forward(self, x):
        try:
            return self.stem([x, x])
        except KeyError:
            return self.exit(x)


class Unforgiving(Forgiving):
    def forward(self, x):
        return self.stem([x, self.exit(x)])


class NoGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise ValueError("no gradient for this")


class Head(nn.Module):
    def forward(self, x):
        return NoGradient.apply(x)


class Looks(nn.Module):
    def __init__(self):
        super().__init__()
        self.entry = nn.Linear(8, 8)

    def forward(self, x):
        x = self.entry(x)
        return x * 2 if x.sum() > 0 else x


class Leaves(nn.Module):
    def forward(self, x):
        sys.exit(0)


def pyramid():
    return Pyramid()

def forgiving():
    return Forgiving()

def unforgiving():
    return Unforgiving()

def with_head():
    return nn.Sequential(nn.Linear(8, 8), Head(), nn.Linear(8, 4))

def looks():
    return Looks()

def leaves():
    return nn.Sequential(OrderedDict(entry=nn.Linear(8, 8), exit=Leaves()))

def plain():
    return nn.Linear(8, 8)

def frozen():
    return nn.Linear(8, 8).requires_grad_(False)

def nothing():
    pass

def table():
    return {"net": nn.Linear(8, 8)}

def demanding(width):
    return nn.Linear(width, width)

def broken():
    raise ValueError("no weights here")

def exits():
    sys.exit(0)

number = 3


def divides(outputs):
    return outputs.sum() / (1 // 0)

def is_a_float(outputs):
    return 3.0

def is_a_vector(outputs):
    return outputs

def is_detached(outputs):
    return outputs.detach().sum()

def leaves_loss(outputs):
    sys.exit(0)
"""


@pytest.fixture
def nets(here):
    """A file of networks and losses in the working directory."""
    (here / "nets.py").write_text(NETS)
    return here


def line_of(text):
    return NETS[: NETS.index(text)].count("\n") + 1


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("pyramid", "raised in module 'levels.1' (Stem) on input 4x6: KeyError: 'no such level'."),
        ("unforgiving", "raised in module 'stem' (Stem) on input [4x8, 4x8]: KeyError: 'no such level'."),
        ("leaves", "raised in module 'exit' (Leaves) on input 4x8: SystemExit: 0."),
    ],
)
@pytest.mark.parametrize("mode", ["--train", "--infer"])
def test_a_module_that_raises_in_forward_is_named_with_its_class_and_input(refused, nets, model, told, mode):
    assert refused("estimate", f"nets.py:{model}", mode, "--input", f"{'input' if model == 'leaves' else 'x'}=4x8") == (
        3,
        f"python-file:nets.py:{model} {told}",
    )


def test_a_failure_that_the_model_catches_is_none(nets, capsys):
    assert main(["estimate", "nets.py:forgiving", "--input", "x=4x8"]) == 0
    assert capsys.readouterr().err == ""


def test_a_function_that_raises_in_backward_is_put_down_to_its_module(refused, nets):
    assert refused("estimate", "nets.py:with_head", "--train", "--input", "input=4x8") == (
        3,
        "python-file:nets.py:with_head raised in the backward of module '1' (Head) on gradient 4x8: ValueError: no gradient for this.",
    )


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        ("divides", "raised ZeroDivisionError: integer division or modulo by zero ({folder}/nets.py, line {line})"),
        ("leaves_loss", "raised SystemExit: 0 ({folder}/nets.py, line {line})"),
        ("is_a_float", "returned a float; it must return a tensor of one value."),
        ("is_a_vector", "returned a tensor of shape 4x8; it must return one value: take the mean or the sum."),
        ("is_detached", "returned a value that leads to no parameter: it was detached, or the outputs are not in it."),
    ],
)
def test_a_loss_that_fails_is_named(refused, nets, loss, told):
    told = told.format(folder=nets, line=line_of(f"def {loss}") + 1)
    assert refused("estimate", "nets.py:plain", "--train", "--input", "input=4x8", "--loss", f"nets.py:{loss}") == (
        3,
        f"the loss nets.py:{loss} {told}",
    )


def test_a_loss_that_is_none_is_answered_with_the_closest(refused, nets):
    code, message = refused("estimate", "nets.py:plain", "--train", "--input", "input=4x8", "--loss", "nets.py:divide")
    assert code == 2
    assert message.startswith("no callable in nets.py is called 'divide'. Closest: divides")


@pytest.mark.parametrize(
    ("builder", "code", "told"),
    [
        ("nothing", 3, "nets.py:nothing returned None; it must return an nn.Module."),
        ("table", 3, "nets.py:table returned a dict; it must return an nn.Module."),
        (
            "demanding",
            3,
            "nets.py:demanding is called without arguments, but: missing a required argument: 'width'. "
            "Give its arguments defaults, or name a function that does.",
        ),
        ("broken", 3, "nets.py:broken raised ValueError: no weights here ({folder}/nets.py, line {line})"),
        ("exits", 3, "nets.py:exits raised SystemExit: 0 ({folder}/nets.py, line {line})"),
        ("number", 2, "nets.py:number is an int; it must be something that can be called."),
        (
            "frozen",
            2,
            "there is no parameter to train: Linear has none that requires a gradient. "
            "Freeze fewer of them, or forecast inference with mode 'infer'.",
        ),
    ],
)
def test_a_builder_that_gives_no_module_to_train_is_refused(refused, nets, builder, code, told):
    line = line_of(f"def {builder}") + 1 if f"def {builder}" in NETS else 0
    assert refused("estimate", f"nets.py:{builder}", "--train", "--input", "input=4x8") == (code, told.format(folder=nets, line=line))


def test_parameters_that_are_all_frozen_are_told_with_the_patterns(refused, nets):
    assert refused("estimate", "nets.py:plain", "--train", "--input", "input=4x8", "--freeze", "*") == (
        2,
        "there is no parameter to train: freeze '*' leaves none. Freeze fewer of them, or forecast inference with mode 'infer'.",
    )


def test_a_pattern_that_freezes_nothing_is_answered_with_the_closest_modules(refused, nets):
    assert refused("estimate", "nets.py:pyramid", "--train", "--input", "x=4x8", "--freeze", "level") == (
        2,
        "freeze pattern 'level' matches no parameter. Closest modules: entry, levels, levels.0, levels.1.",
    )


def test_a_number_of_classes_that_nobody_takes_is_told(refused, nets):
    assert refused("estimate", "nets.py:plain", "--input", "input=4x8", "--classes", "3") == (
        3,
        "nets.py:plain takes no number of classes, but one was asked for; give it an argument called classes or num_classes or nc or n_classes.",
    )


def test_inputs_by_other_names_are_answered_with_those_of_forward(refused, nets):
    assert refused("estimate", "nets.py:plain", "--input", "x=4x8") == (
        3,
        "python-file:nets.py:plain raised in the model itself (Linear) on input 4x8: TypeError: "
        "Linear.forward() got an unexpected keyword argument 'x'. Its forward takes input; the inputs named are x.",
    )


def test_images_in_place_of_inputs_that_were_not_named_are_told(refused, nets):
    code, message = refused("estimate", "nets.py:plain")
    assert code == 3
    assert message.startswith("python-file:nets.py:plain raised in the model itself (Linear) on input 1x3x224x224: RuntimeError: ")
    assert message.endswith(
        "No input was named, so it was given a batch of images; its forward takes input. Name what it takes: --input input=2x3x224x224."
    )


def test_an_input_of_an_unknown_type_is_answered_with_types(refused, nets):
    code, message = refused("estimate", "nets.py:plain", "--input", "input=4x8:floaty")
    assert code == 2
    assert message.startswith("input 'input' has type 'floaty', which is none of torch's: float32, float16, bfloat16, int64, ")


def test_a_model_that_looks_at_values_is_forecast_with_a_caveat(nets, capsys):
    assert main(["estimate", "nets.py:looks", "--train", "--input", "x=4x8"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    caveats = " ".join(out.partition("! ")[2].split())
    assert "Values that no forecast can know were drawn (" in caveats
    assert "where code looks at them: item in the model itself." in caveats


OPERATORS = """
import torch
from torch import nn

library = torch.library.Library("{name}", "DEF")
library.define("twice(Tensor x) -> Tensor")
library.impl("twice", lambda x: x * 2, "CPU")


@torch.library.custom_op("{name}_more::thrice", mutates_args=())
def thrice(x: torch.Tensor) -> torch.Tensor:
    return x * 3


class Twice(nn.Module):
    def forward(self, x):
        return torch.ops.{name}.twice(x)


class Thrice(nn.Module):
    def forward(self, x):
        return torch.ops.{name}_more.thrice(x)


def twice():
    return nn.Sequential(nn.Linear(8, 8), Twice())


def thrice_itself():
    return Thrice()


def mean(outputs):
    return outputs.mean()
"""


@pytest.fixture
def operators(here):
    """A file with two operators that have CPU kernels only; it registers them, so it must not be imported twice."""
    name = "bad_input_" + "".join(character for character in here.name if character.isalnum())
    (here / "operators.py").write_text(textwrap.dedent(OPERATORS.format(name=name)))
    return name


def test_an_operator_without_a_meta_kernel_is_named_with_the_way_out(refused, operators):
    way_out = "Give it one with torch.library.register_fake('{0}'), or leave the part out of what is forecast."
    for model, operator, module in (
        ("twice", f"{operators}::twice", "module '1' (Twice)"),
        ("thrice_itself", f"{operators}_more::thrice", "the model itself (Thrice)"),
    ):
        code, message = refused("estimate", f"operators.py:{model}", "--input", "input=4x8" if model == "twice" else "x=4x8")
        assert (code, message) == (
            3,
            f"operator {operator} in {module} cannot be followed without a GPU: it has no meta kernel. {way_out.format(operator)}",
        )


def test_model_and_loss_of_one_file_import_it_once(refused, operators):
    code, message = refused("estimate", "operators.py:twice", "--train", "--input", "input=4x8", "--loss", "operators.py:mean")
    assert (code, message.partition(" cannot")[0]) == (3, f"operator {operators}::twice in module '1' (Twice)")
