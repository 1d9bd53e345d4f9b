"""What gives way where memory is short: workspaces of convolutions, and the cache of a careful trainer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from allocator_traces import TraceBuilder

from vramcast.allocator.replay import replay
from vramcast.trace import Component, Event, Trace
from vramcast.units import MIB


def with_scratch(component: Component, operator: str) -> Trace:
    """A tensor of 60 MiB, scratch of 50 MiB beside it for a moment, then another tensor of 20 MiB."""
    built = TraceBuilder()
    kept, scratch = built.allocate(60 * MIB), built.allocate(50 * MIB)
    built.free(scratch)
    built.allocate(20 * MIB)
    trace = replace(built.build(), operators=(operator,))
    components = np.zeros(3, np.int64)
    components[scratch] = component
    assert kept == 0
    return replace(trace, components=components)


def test_a_convolution_goes_without_its_workspace() -> None:
    trace = with_scratch(Component.WORKSPACE, "aten::convolution_backward")
    free, short = replay(trace), replay(trace, limit=100 * MIB)
    assert (free.peak_reserved, free.refused) == (110 * MIB, 0)
    assert short.out_of_memory is None
    assert (short.peak_reserved, short.peak_allocated, short.refused) == (80 * MIB, 80 * MIB, 1)
    assert short.block_sizes.tolist() == [60 * MIB, 0, 20 * MIB]


@pytest.mark.parametrize(
    ("component", "operator"), [(Component.TEMPORARIES, "aten::convolution"), (Component.WORKSPACE, "aten::mm")], ids=["a copy", "cuBLAS"]
)
def test_nothing_else_is_gone_without(component: Component, operator: str) -> None:
    shortage = replay(with_scratch(component, operator), limit=100 * MIB).out_of_memory
    assert shortage is not None
    assert (shortage.event, shortage.requested) == (1, 50 * MIB)


def test_a_careful_trainer_empties_the_cache_where_more_than_its_share_is_held() -> None:
    built = TraceBuilder()
    built.free(built.allocate(40 * MIB))
    built.empty_cache()
    built.allocate(30 * MIB)
    plain = built.build()
    trace = replace(plain, kinds=np.where(plain.kinds == Event.EMPTY_CACHE, Event.EMPTY_CACHE_IF_CROWDED, plain.kinds))
    assert replay(trace).reserved.tolist() == [40 * MIB] * 4, "no card, no share of it"
    assert replay(trace, crowded=40 * MIB).reserved.tolist() == [40 * MIB] * 4
    assert replay(trace, crowded=39 * MIB).reserved.tolist() == [40 * MIB, 40 * MIB, 0, 30 * MIB]
