"""Shape functions decide on ordinary numbers without SymPy, and as they decide with it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from torch.fx.experimental import symbolic_shapes

from vramcast.tracing.shape_checks import _PLAIN

LEFT_ALONE = """
import sys, vramcast
vramcast.estimate("torchvision:resnet18", vramcast.Workload.train(batch=2, image=64))
print("sympy" in sys.modules, "torch.fx.experimental.symbolic_shapes" in sys.modules)
from torch.fx.experimental.symbolic_shapes import ShapeEnv
import sympy, torch
print(sympy.Symbol("x"), ShapeEnv.__name__, torch.empty(2, 3, device="meta").mean(1).shape[0])
"""
ARGUMENTS: dict[str, list[tuple[Any, ...]]] = {
    "is_nested_int": [(3,)],
    "sym_and": [(True,), (True, False), (True, True, True)],
    "sym_eq": [(3, 3), (3, 4), ((1, 2), [1, 2]), ((1, 2), (1, 2, 3))],
    "sym_or": [(False,), (True, False), (False, False)],
    "guarding_hint_or_throw": [(3,), (True,)],
    "has_guarding_hint": [(3,)],
}


def test_tracing_imports_no_sympy_and_leaves_torch_as_it_was() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", LEFT_ALONE], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["False False", "x ShapeEnv 2"]


@pytest.mark.parametrize("name", _PLAIN)
def test_plain_conditions_are_torchs(name: str) -> None:
    for values in ARGUMENTS.get(name, [(True,), (False,)]):
        assert _PLAIN[name](*values) == getattr(symbolic_shapes, name)(*values)
