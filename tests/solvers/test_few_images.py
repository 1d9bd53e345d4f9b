"""A detector's batch at any size is told by a few images there, to the byte."""

from __future__ import annotations

import pytest

from vramcast.backends.eager import batching
from vramcast.backends.eager.program import trace_program
from vramcast.family.batch_fit import alike
from vramcast.solvers.few_images import FewImages
from vramcast.solvers.points import SQUARE, Points, find_model
from vramcast.workload import Workload

MODEL = find_model("ultralytics:yolo11n")
WORKLOAD = Workload.train(batch=9, steps=1, targets=3, precision="amp-fp16", image=96)


@pytest.fixture
def few_are_cheaper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "LARGEST_DIRECT", 0)


@pytest.mark.usefixtures("few_are_cheaper")
def test_few_images_tell_the_batch_at_every_size() -> None:
    points = Points(MODEL, WORKLOAD, None, SQUARE)
    traced: list[int] = []
    points.progress = lambda doing: traced.append(int(doing.split("batch ")[1].split(",")[0]))
    few = FewImages(points)
    for side in (96, 160, 128):
        told = few.trace((9, side))
        assert told is not None
        assert alike(told, trace_program(MODEL, WORKLOAD.with_fields(image=(side, side), backend="eager"), (8, 0), lambda _: None))
    assert traced == [4, 5, 6, 4, 5, 4]  # fitted, checked at the second size, told by one from then on


@pytest.mark.usefixtures("few_are_cheaper")
def test_other_batches_are_traced_themselves() -> None:
    assert FewImages(Points(MODEL, WORKLOAD, None, SQUARE)).trace((5, 96)) is None


def test_what_is_cheap_is_traced_as_it_is() -> None:
    assert FewImages(Points(MODEL, WORKLOAD, None, SQUARE)).trace((9, 96)) is None
