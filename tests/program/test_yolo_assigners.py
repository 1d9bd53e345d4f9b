"""Older assigners: the bytes they hold, against those that the trainers' own code held, and the anchors they choose."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from traced_steps import traced
from ultralytics.utils.tal import TaskAlignedAssigner

from vramcast.program.tasks.yolo_assigners import ASSIGNERS
from vramcast.sources.registry import find
from vramcast.workload import Workload

IMAGES, SIDE = 2, 320
LEVELS = ((40, 8), (20, 16), (10, 32))
ANCHORS = 2100


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the storages that operators make, while they live."""

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        given = {value.untyped_storage()._cdata for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)}
        for value in tree_leaves(made):
            if isinstance(value, torch.Tensor) and (key := value.untyped_storage()._cdata) not in given | set(self.live):
                storage = value.untyped_storage()
                self.live[key] = storage.nbytes()
                weakref.finalize(storage, self.live.pop, key)
        self.peak = max(self.peak, sum(self.live.values()))
        return made


def arguments(objects: int, classes: int, smallest: float = 0.02) -> tuple[torch.Tensor, ...]:
    """Two equal images of 320 pixels: predictions at every anchor, objects of log-uniform sides."""
    generator = torch.Generator().manual_seed(0)
    grids = (torch.stack(torch.meshgrid((torch.arange(n) + 0.5) * s, (torch.arange(n) + 0.5) * s, indexing="ij"), -1).view(-1, 2) for n, s in LEVELS)
    anchors = torch.cat(list(grids))
    scores = torch.rand(IMAGES, ANCHORS, classes, generator=generator)
    sides = 8 * 32 ** torch.rand(ANCHORS, 2, generator=generator)
    boxes = torch.cat((anchors - sides / 2, anchors + sides / 2), 1).expand(IMAGES, -1, -1).contiguous()
    sizes = SIDE * smallest * (0.5 / smallest) ** torch.rand(objects, 2, generator=generator)
    centres = torch.rand(objects, 2, generator=generator) * (SIDE - sizes) + sizes / 2
    wanted = torch.cat((centres - sizes / 2, centres + sizes / 2), 1).expand(IMAGES, -1, -1).contiguous()
    labels = torch.randint(0, classes, (IMAGES, objects, 1), generator=generator).float()
    return scores, boxes, anchors, labels, wanted, torch.ones(IMAGES, objects, 1)


def installed(classes: int) -> TaskAlignedAssigner:
    return TaskAlignedAssigner(topk=10, num_classes=classes, alpha=0.5, beta=6.0)


@pytest.mark.parametrize(
    ("habit", "objects", "classes", "held"),
    [
        ("all-pairs", 50, 2, 6_720_000),  # ultralytics 8.0.196
        ("all-pairs", 50, 80, 9_760_824),  # ultralytics 8.3.226
        ("all-pairs", 300, 2, 40_340_400),  # ultralytics 8.4.31
        ("one-hot", 50, 2, 21_853_000),  # WongKinYiu/yolov9 5b1ea9a
        ("one-hot", 300, 2, 131_118_000),
    ],
)
def test_most_bytes_held_are_those_of_the_trainers_own_code(habit: str, objects: int, classes: int, held: int) -> None:
    """The figures were counted as here, with the assigner of the version named, on the same arguments."""
    assigner, given = ASSIGNERS[habit](installed(classes)), arguments(objects, classes)
    with LiveBytes() as counted:
        assigner(*given)
    assert counted.peak == pytest.approx(held, rel=6e-4)


@pytest.mark.parametrize("habit", ASSIGNERS)
@pytest.mark.parametrize("objects", [0, 1, 40])
def test_anchors_are_assigned_as_the_installed_library_does(habit: str, objects: int) -> None:
    """Of objects larger than a stride of 16 pixels, to which the installed version raises smaller ones."""
    given = arguments(objects, 3, smallest=0.1)
    expected, found = installed(3)(*given), ASSIGNERS[habit](installed(3))(*given)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected):
        assert ours.shape == theirs.shape
        assert torch.allclose(ours.float(), theirs.float(), atol=1e-5)


@pytest.mark.parametrize("model", ["yolov8n", "yolov10n", "yolov8n-seg", "yolov8n-obb", "rtdetr-l"])
def test_every_detector_trains_with_the_older_assigner(model: str) -> None:
    """At many objects a pair costs more than today; what has no such assigner takes what it takes."""
    name, fields = f"ultralytics:{model}", {"batch": 2, "image": 128, "targets": 60, "steps": 1, "precision": "amp-fp16"}
    today, older = (traced(find(name), Workload.train(**fields, habits={"assigner": habit})) for habit in ("library", "all-pairs"))
    made_today, made_before = (int(trace.sizes[trace.sizes > 0].sum()) for trace in (today, older))
    assert (made_before == made_today) is (model == "rtdetr-l")
