"""What one more object per image costs is the difference between two forecasts."""

from __future__ import annotations

from vramcast.per_target import EXTRA_TARGETS, requested_bytes
from vramcast.pipeline import estimate
from vramcast.workload import Workload

YOLO = "ultralytics:yolo11n"


def test_it_is_the_difference_of_the_peaks() -> None:
    workloads = (Workload.train(batch=5, image=256, steps=1, targets=targets, precision="amp-fp16") for targets in (10, 10 + EXTRA_TARGETS))
    few, many = (estimate(YOLO, workload) for workload in workloads)
    assert few.bytes_per_target is not None
    peaks = [int(requested_bytes(found.trace).max()) for found in (few, many)]
    assert few.bytes_per_target == (peaks[1] - peaks[0]) // EXTRA_TARGETS
    assert few.bytes_per_target > 0


def test_there_is_none_where_targets_play_no_role() -> None:
    assert estimate("torchvision:resnet18", Workload.train(image=64, steps=1)).bytes_per_target is None
    assert estimate(YOLO, Workload.infer(image=64, steps=1)).bytes_per_target is None
