"""Runs a program, whatever its mode."""

from __future__ import annotations

from typing import Any

from vramcast.program.generation import generate
from vramcast.program.inference import infer
from vramcast.program.probe import Probe
from vramcast.program.program import Program
from vramcast.program.training import train


def run(program: Program, probe: Probe) -> Any:
    """Run the program from its first step to its last; return what its loop still holds."""
    if program.workload.is_training:
        return train(program, probe)
    return infer(program, probe) if program.workload.new_tokens is None else generate(program, probe)
