"""A small trace that every test of the room can use."""

from __future__ import annotations

import numpy as np
import pytest

from vramcast.trace import Component, Event, Phase, Subject, Trace

MIB = 2**20


@pytest.fixture
def two_steps() -> Trace:
    """A weight, an activation that stays, one that goes, and a last large request."""
    return Trace(
        Subject("toy", "test", 250, 250),
        kinds=np.array([Event.ALLOCATE, Event.ALLOCATE, Event.ALLOCATE, Event.FREE, Event.ALLOCATE]),
        blocks=np.array([0, 1, 2, 2, 3]),
        operations=np.array([0, 1, 1, 2, 1 + 2]),
        sizes=np.array([1000, 3 * MIB, 12 * MIB, 40 * MIB]),
        components=np.array([Component.WEIGHTS, Component.ACTIVATIONS, Component.ACTIVATIONS, Component.OTHER]),
        streams=np.array([0, 0, 0, 0]),
        block_modules=np.array([1, 1, 1, 0]),
        operation_operators=np.array([0, 1, 1, 0]),
        operation_modules=np.array([0, 1, 1, 0]),
        operation_phases=np.array([0, 1, 2, 2]),
        operators=("empty", "convolution"),
        modules=("", "layer1.0"),
        phases=(Phase("load", 0), Phase("forward", 1), Phase("backward", 1)),
    )
