"""What a card makes of a trace is the same whether it is asked in full or in part."""

from __future__ import annotations

import pytest

from vramcast.backends.registry import backend_of
from vramcast.gpu.catalogue import find
from vramcast.gpu.spec import GpuSpec
from vramcast.pipeline import forecast
from vramcast.served import Served
from vramcast.solvers.families import trace_family
from vramcast.sources import registry
from vramcast.trace import Trace
from vramcast.units import MIB
from vramcast.workload import Workload

WORKLOAD = Workload.train(batch=8, image=128, precision="amp-fp16")
CARD = find("rtx 4090")


@pytest.fixture(scope="module")
def trace() -> Trace:
    """ResNet-18 in training."""
    return backend_of(WORKLOAD).trace(registry.find("torchvision:resnet18"), WORKLOAD, CARD.compute_capability, lambda _: None)


def small(usable: int) -> GpuSpec:
    """A card with the context of an RTX 4090 and so many usable bytes."""
    return GpuSpec(name="small", vendor="nvidia", memory_bytes=usable, usable_bytes=usable, compute_capability=(8, 9), sm_count=128)


def test_a_part_of_a_replay_tells_whether_more_is_reserved(trace: Trace) -> None:
    peak = Served.on(trace, CARD, WORKLOAD).wanted.peak_reserved
    for reserved in (0, peak // 3, peak - 2 * MIB, peak - 1, peak, peak + 1, 2 * peak):
        served = Served.on(trace, CARD, WORKLOAD)
        assert served.takes_more_than(reserved) is (peak > reserved)
        assert served.wanted.peak_reserved == peak
        assert served.takes_more_than(reserved) is (peak > reserved)


def test_no_allocator_does_with_less_than_is_asked_for(trace: Trace) -> None:
    served = Served.on(trace, CARD, WORKLOAD)
    assert 0 < served.least_bytes <= served.requested_bytes <= served.wanted.peak_reserved


def test_fits_and_range_are_those_of_the_answer(trace: Trace) -> None:
    need = forecast(trace, CARD, WORKLOAD).peak.device_bytes
    answers = set()
    for usable in range(need - 220 * MIB, need + 60 * MIB, 20 * MIB):
        served, made = Served.on(trace, small(usable), WORKLOAD), forecast(trace, small(usable), WORKLOAD)
        assert (served.fits, served.range) == (made.fits, (made.peak.low_bytes, made.peak.high_bytes))
        answers.add(made.fits)
    assert answers == {True, False}


def test_a_family_s_trace_without_calls_is_the_same_but_for_them() -> None:
    family = trace_family("torchvision:resnet18", WORKLOAD, range(2, 33), gpu=CARD)
    piece, whole = family.piece_at((20,)), family.at((20,))
    assert piece is not None
    assert whole is not None
    bare = piece.without_calls((20,))
    assert not bare.calls
    assert whole.calls
    assert all((getattr(bare, name) == getattr(whole, name)).all() for name in ("kinds", "blocks", "operations", "sizes", "components"))
