"""Tasks: drawn objects and predictions are the same in every image, so that memory grows with the batch as shapes do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from traced_steps import model_of, traced

from vramcast.program.tasks.classify import Classify
from vramcast.program.tasks.drawn_boxes import LARGEST, SMALLEST, boxes_xywh, boxes_xyxy
from vramcast.program.tasks.registry import TASKS
from vramcast.program.tasks.yolo import YoloClassify
from vramcast.sources.interface import TASKS as KNOWN_TASKS
from vramcast.sources.registry import find
from vramcast.trace import Trace
from vramcast.workload import Workload

YOLO = ["yolo11n", "yolo26n-pose"]


def detector(name: str, batch: int, mode: str = "train", **fields: object) -> Trace:
    """A small detector's trace at a batch size."""
    make = Workload.train if mode == "train" else Workload.infer
    return traced(find(name), make(batch=batch, steps=1, **fields))


def test_every_task_of_a_source_can_be_run() -> None:
    assert set(TASKS) == set(KNOWN_TASKS)


@given(count=st.integers(1, 50), seed=st.integers(0, 2**31), side=st.integers(32, 2000))
def test_drawn_boxes_lie_in_the_image(count: int, seed: int, side: int) -> None:
    relative = boxes_xywh(count, torch.Generator().manual_seed(seed))
    assert bool(((relative[:, 2:] >= SMALLEST * 0.999) & (relative[:, 2:] <= LARGEST * 1.001)).all())
    corners = boxes_xyxy(count, (side, 2 * side), torch.Generator().manual_seed(seed))
    assert bool((corners[:, :2] >= -1e-3).all())
    assert bool((corners[:, 2] <= 2 * side + 1e-2).all())
    assert bool((corners[:, 3] <= side + 1e-2).all())


@pytest.mark.parametrize("name", YOLO)
def test_yolo_bytes_are_affine_in_the_batch(name: str) -> None:
    two, three, four = (detector(f"ultralytics:{name}", batch, image=128, precision="amp-fp16") for batch in (2, 3, 4))
    for other in (three, four):
        assert np.array_equal(two.kinds, other.kinds)
        assert np.array_equal(two.blocks, other.blocks)
    assert np.array_equal(four.sizes - three.sizes, three.sizes - two.sizes)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("fasterrcnn_mobilenet_v3_large_320_fpn", "train"),
        ("fasterrcnn_mobilenet_v3_large_320_fpn", "infer"),
        ("ssdlite320_mobilenet_v3_large", "train"),
        ("maskrcnn_resnet50_fpn", "train"),
    ],
)
def test_torchvision_detectors_do_the_same_for_each_image(name: str, mode: str) -> None:
    """Their loops over images add as many events and bytes with each further image."""
    two, three, four = (detector(f"torchvision:{name}", batch, mode, image=128) for batch in (2, 3, 4))
    assert len(four) - len(three) == len(three) - len(two) > 0
    assert int(four.sizes.sum()) - int(three.sizes.sum()) == int(three.sizes.sum()) - int(two.sizes.sum())


@pytest.mark.parametrize("name", ["torchvision:fasterrcnn_mobilenet_v3_large_320_fpn", "torchvision:fcos_resnet50_fpn", "ultralytics:yolov8n-seg"])
def test_all_that_is_drawn_is_said_in_one_caveat(name: str) -> None:
    (caveat,) = detector(name, 2, image=128).caveats
    assert "10 per image" in caveat.message
    assert "predictions" in caveat.message


def test_more_objects_take_more_memory() -> None:
    few, many = (detector("ultralytics:yolo11n", 2, image=128, targets=count) for count in (1, 100))
    assert int(many.sizes.sum()) > int(few.sizes.sum())


@pytest.mark.parametrize("name", ["yolo11n", "yolo11n-obb", "yolov8n-seg", "yolo26n", "rtdetr-resnet50", "yolo11n-cls"])
def test_validation_selects_among_drawn_predictions(name: str) -> None:
    workload = Workload.train(batch=2, image=128, steps=1, phases="run", precision="amp-fp16")
    trace = traced(find(f"ultralytics:{name}"), workload)
    assert "validation" in {phase.name for phase in trace.phases}
    assert not any("code looks at them" in caveat.message for caveat in trace.caveats)


class Tokens(nn.Module):
    """A text classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(100, 16)
        self.head = nn.Linear(16, 4)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.head(self.embedding(input_ids).mean(1))
        return hidden


def test_a_classifier_of_text_gets_token_ids() -> None:
    model = model_of(Tokens, task="classify", sequence=32)
    short, long = (traced(model, Workload.train(batch=4, seq=length)) for length in (32, 64))
    assert int(long.sizes.max()) == 2 * int(short.sizes.max())


@pytest.mark.parametrize("task", [Classify(), YoloClassify()])
def test_top_five_of_fewer_classes(task: Classify | YoloClassify) -> None:
    from vramcast.program.tasks.interface import Batch

    assert task.after_inference(nn.Identity(), torch.randn(3, 2), Batch()).shape == (3, 2)
