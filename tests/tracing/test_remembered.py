"""What was computed for one image of a batch is not computed for the next one that is alike, and nothing else is thought to be alike."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from vramcast.backends.eager.program import trace_program
from vramcast.sources import registry
from vramcast.sources.dynamo import dynamo_postponed
from vramcast.tracing import deferred, remembered
from vramcast.tracing.tracer import Tracer
from vramcast.workload import Workload

CUDA = "cuda"


@pytest.fixture(autouse=True)
def without_dynamo() -> Iterator[None]:
    with dynamo_postponed():
        yield


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each operator ran on values, views left out."""
    counts: Counter[str] = Counter()
    run = deferred.Call.run

    def counted(call: deferred.Call) -> None:
        if not deferred.is_view(call._func):
            counts[call._func._schema.name] += 1
        run(call)

    monkeypatch.setattr(deferred.Call, "run", counted)
    return counts


def looked_at(program: Callable[[], list[torch.Tensor]]) -> list[list[float]]:
    """What a program's results hold when they are looked at."""
    with Tracer() as tracer:
        tracer.phase("forward", 0)
        return [value.float().flatten().tolist() for value in program()]


def batch(*firsts: float) -> torch.Tensor:
    """One image of four values per number given: the number, and the next three."""
    return torch.stack([torch.arange(4.0) + first for first in firsts]).to(CUDA)


def distances(image: torch.Tensor) -> torch.Tensor:
    return ((image[:, None] - image[None, :]) ** 2).exp().sum(1)


@pytest.mark.parametrize("images", [1, 2, 9])
def test_what_images_share_is_computed_once(computed: Counter[str], images: int) -> None:
    values = looked_at(lambda: [distances(image) for image in batch(*[3.0] * images)])
    assert values == [distances(torch.arange(4.0) + 3).tolist()] * images
    assert (computed["aten::sub"], computed["aten::exp"], computed["aten::sum"]) == (1, 1, 1)


def test_images_that_differ_are_told_apart(computed: Counter[str]) -> None:
    values = looked_at(lambda: [distances(image * 2) for image in batch(1.0, 2.0, 1.0)])
    assert values == [distances((torch.arange(4.0) + first) * 2).tolist() for first in (1, 2, 1)]
    assert computed["aten::exp"] == 2


def test_equal_numbers_of_other_types_are_told_apart() -> None:
    def program() -> list[torch.Tensor]:
        counts = torch.arange(4, device=CUDA)
        return [counts.div(2, rounding_mode="floor"), counts / 2, counts * 1, counts * 1.0, counts * True]

    expected = [[0, 0, 1, 1], [0, 0.5, 1, 1.5], *[[0, 1, 2, 3]] * 3]
    assert looked_at(program) == expected
    with Tracer() as tracer:
        tracer.phase("forward", 0)
        assert [value.cpu().dtype for value in program()] == [torch.int64, torch.float32, torch.int64, torch.float32, torch.int64]


def test_what_is_written_into_one_result_stays_out_of_the_other() -> None:
    def program() -> list[torch.Tensor]:
        one, other = (distances(image) for image in batch(0.0, 0.0))
        assert one.tolist() == other.tolist()
        one[:2] = -1  # through a view, so in place
        return [one, other, one * 2, other * 2]

    plain = distances(torch.arange(4.0))
    written = torch.cat((torch.tensor([-1.0, -1.0]), plain[2:]))
    assert looked_at(program) == [written.tolist(), plain.tolist(), (written * 2).tolist(), (plain * 2).tolist()]


def test_a_value_is_seen_anew_after_it_was_written() -> None:
    def program() -> list[torch.Tensor]:
        grid = torch.zeros(4, device=CUDA)
        before = (grid + 1).tolist()
        grid[1:2] = 5
        assert before == [1, 1, 1, 1]
        return [grid + 1]

    assert looked_at(program) == [[1, 6, 1, 1]]


def test_more_than_the_capacity_is_forgotten(computed: Counter[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "CAPACITY", 64)
    looked_at(lambda: [distances(image) for image in batch(*map(float, range(9)), 0.0)])
    assert computed["aten::exp"] == 10


@pytest.mark.parametrize(
    ("name", "workload", "at_most"),
    [
        ("torchvision:fasterrcnn_mobilenet_v3_large_320_fpn", Workload.train(batch=8, image=64, steps=1), 800),
        ("ultralytics:yolo11n", Workload.train(batch=8, image=64, steps=1, phases="run"), 480),
    ],
)
def test_a_detector_computes_for_one_image_what_it_asks_for_each(
    computed: Counter[str], monkeypatch: pytest.MonkeyPatch, name: str, workload: Workload, at_most: int
) -> None:
    model = registry.find(name)
    seen = trace_program(model, workload, (8, 0), lambda _: None)
    assert sum(computed.values()) <= at_most  # 785 and 470; 1,142 and 671 when each image was computed for itself
    monkeypatch.setattr(remembered.Remembered, "run", lambda _, call: deferred.run(call))
    anew = trace_program(model, workload, (8, 0), lambda _: None)
    for column in ("kinds", "blocks", "operations", "sizes", "components", "operation_operators"):
        np.testing.assert_array_equal(getattr(seen, column), getattr(anew, column), err_msg=column)


def test_nothing_is_held_once_tracing_is_over() -> None:
    value = torch.arange(4.0)
    seen = weakref.ref(value)
    with Tracer() as tracer:
        tracer.phase("forward", 0)
        held = torch.empty(4, device=CUDA)
        tracer.assume([held], [value])
        del value
        assert held.sum().item() == 6
        assert seen() is not None
    assert seen() is None
