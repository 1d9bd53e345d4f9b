"""A forecast stays below 1 GiB of the machine that makes it, torch included, for the models whose values take most."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LIMIT_BYTES = 2**30
COMMAND_LINE = "from vramcast.cli.entry import main; raise SystemExit(main())"
KIB = 1024  # of `ru_maxrss` on Linux


@pytest.mark.skipif(sys.platform != "linux", reason="`ru_maxrss` has another unit elsewhere")
@pytest.mark.parametrize(
    "question",
    [
        # as many objects as are still compared with every one of 268,569 anchors
        "torchvision:fasterrcnn_resnet50_fpn --train --steps 1 --batch 8 --targets 110",
        # 8 x 114 objects beside 33,600 anchors each: as many as values are followed for
        "ultralytics:yolo11n --train --steps 1 --batch 8 --image 1280 --targets 114",
        # 64 images of the largest size: 17 million anchors, were they not scaled from small batches
        "torchvision:keypointrcnn_resnet50_fpn --train --steps 1 --batch 64",
    ],
)
def test_peak_memory_of_a_forecast(question: str) -> None:
    command = [sys.executable, "-c", COMMAND_LINE, "estimate", *question.split()]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert usage.ru_maxrss * KIB < LIMIT_BYTES
