"""What one more object per image costs is the difference between two forecasts."""

from __future__ import annotations

from vramcast.per_target import EXTRA_TARGETS
from vramcast.pipeline import estimate
from vramcast.workload import Workload

YOLO = "ultralytics:yolo11n"


def test_it_is_the_difference_of_the_peaks() -> None:
    few, many = (
        estimate(YOLO, Workload.train(batch=5, image=256, steps=1, targets=targets, precision="amp-fp16")) for targets in (10, 10 + EXTRA_TARGETS)
    )
    assert few.bytes_per_target is not None
    assert few.bytes_per_target == (many.peak.allocated_bytes - few.peak.allocated_bytes) // EXTRA_TARGETS
    assert few.bytes_per_target > 0


def test_there_is_none_where_targets_play_no_role() -> None:
    assert estimate("torchvision:resnet18", Workload.train(image=64, steps=1)).bytes_per_target is None
    assert estimate(YOLO, Workload.infer(image=64, steps=1)).bytes_per_target is None
