"""The tables beside the one of tools: whole processes, commands without torch, replay, and peak memory."""

from __future__ import annotations

import time

from benchmarks.processes import imports, measure, python, smallest, vramcast

_ROUNDS = 7
_REPLAYS = 30
_RESNET = "estimate torchvision:resnet50 --train --batch 32"
_TORCH = "import torch"
_TORCHVISION = "from vramcast.sources.torchvision_import import import_torchvision; import torch; import_torchvision()"
_LIGHT = ("--help", "rules --params 100M", "gpus")
_HEAVY = (
    "torchvision:fasterrcnn_resnet50_fpn --train --batch 8 --targets 60",
    "torchvision:fasterrcnn_resnet50_fpn --train --batch 8 --targets 100",
    "torchvision:fasterrcnn_resnet50_fpn --train --batch 8 --targets 115",
    "torchvision:keypointrcnn_resnet50_fpn --train --batch 16",
    "torchvision:keypointrcnn_resnet50_fpn --train --batch 64",
    "torchvision:maskrcnn_resnet50_fpn --train --batch 64",
    "torchvision:maskrcnn_resnet50_fpn --train --batch 8 --targets 60",
    "torchvision:retinanet_resnet50_fpn --train --batch 8 --targets 60",
    "ultralytics:yolov8x --train --batch 64 --image 1280",
    "ultralytics:yolo11n --train --batch 8 --image 1280 --targets 114",
    "ultralytics:yolo11n-pose --train --batch 32 --image 1280",
    "ultralytics:yolo11n-seg --train --batch 32 --image 1280",
    "ultralytics:rtdetr-l --train --batch 16 --image 640",
    "timm:vit_huge_patch14_224 --train --batch 512",
    "timm:vit_giant_patch14_224 --train --batch 512",
    "timm:swin_large_patch4_window7_224 --train --batch 1024",
    "timm:convnext_large --train --batch 1024",
)
"""What takes most memory of the forecaster, by model family: large batches, large images, and as many objects as values are followed for."""
_DAILY = (
    "ultralytics:yolo11n --train --preset ultralytics --batch 16 --image 640 --gpu t4",
    "ultralytics:yolo11n --train --preset ultralytics --batch 64 --image 640 --gpu t4",
    "ultralytics:yolov8x --train --preset ultralytics --batch 16 --image 640 --gpu t4",
)


def whole_process() -> str:
    """Return the command from start to end beside the imports that it cannot do without."""
    commands = {
        '`python -c "import torch"`': python(_TORCH),
        "torch and torchvision imported": python(_TORCHVISION),
        f"`vramcast {_RESNET}`": vramcast(_RESNET),
    }
    runs = smallest(commands, _ROUNDS)
    torch, both, _ = (run.cpu_seconds for run in runs.values())
    lines = [
        f"| {name} | {run.seconds:.2f} | {run.cpu_seconds:.2f} | {run.cpu_seconds / torch:.2f}× | {run.cpu_seconds / both:.2f}× |"
        for name, run in runs.items()
    ]
    return _WHOLE.format(rounds=_ROUNDS) + "\n".join(lines) + "\n"


def light_commands() -> str:
    """Return what commands take that need no torch."""
    runs = smallest({arguments: vramcast(arguments) for arguments in _LIGHT}, _ROUNDS)
    lines = [
        f"| `vramcast {arguments}` | {run.seconds:.2f} | {run.cpu_seconds:.2f} | {'yes' if imports(vramcast(arguments), 'torch') else 'no'} |"
        for arguments, run in runs.items()
    ]
    return _WITHOUT_TORCH.format(rounds=_ROUNDS) + "\n".join(lines) + "\n"


def replaying() -> str:
    """Return how long a trace of ResNet-50 takes in the allocator."""
    from vramcast.allocator.replay import replay
    from vramcast.pipeline import estimate
    from vramcast.workload import Workload

    trace = estimate("torchvision:resnet50", Workload.train(batch=32, optimizer="adamw", steps=2)).trace
    taken = []
    for _ in range(_REPLAYS):
        start = time.perf_counter()
        replay(trace)
        taken.append(time.perf_counter() - start)
    return _REPLAY.format(events=len(trace), milliseconds=1000 * min(taken), replays=_REPLAYS)


def daily_questions() -> str:
    """Return what whole forecasts of detectors with their run take."""
    runs = smallest({arguments: vramcast(f"estimate {arguments}") for arguments in _DAILY}, 3)
    lines = [f"| `{arguments}` | {run.seconds:.1f} | {run.cpu_seconds:.1f} |" for arguments, run in runs.items()]
    return _QUESTIONS + "\n".join(lines) + "\n"


def peak_memory() -> str:
    """Return the peak memory of forecasts that take most."""
    lines = []
    for arguments in _HEAVY:
        run = measure(vramcast(f"estimate {arguments}"))
        lines.append(f"| `{arguments}` | {run.peak_bytes / 2**20:.0f} MiB | {run.cpu_seconds:.1f} |")
    return _MEMORY + "\n".join(lines) + "\n"


_WHOLE = """
## The whole command

From the start of Python to its end; the smallest of {rounds} runs, taken in turn. Ratios are of CPU seconds, which other work on the
machine changes least. torchvision is imported as vramcast does it, with its operators declared rather than loaded. Aim: less than 1.4 times both.

| process | seconds | CPU seconds | beside torch | beside torch and torchvision |
|---|---|---|---|---|
"""
_WITHOUT_TORCH = """
## Commands without torch

The smallest of {rounds} runs; whether torch is imported, by `python -X importtime`. Aim: less than 0.3 s, without torch.

| command | seconds | CPU seconds | torch |
|---|---|---|---|
"""
_REPLAY = """
## Replay

Two training steps of ResNet-50 at batch 32, {events:,} events, through the allocator: {milliseconds:.1f} ms, the smallest of
{replays} replays. Aim: less than 5 ms.
"""
_QUESTIONS = """
## A run of YOLO

`vramcast estimate …` with training, validation, checkpoint and cost per object, from the start of Python to its end; the smallest of 3 runs.
Aim: less than 5 s of CPU.

| question | seconds | CPU seconds |
|---|---|---|
"""
_MEMORY = """
## Memory of the forecast itself

Peak resident memory of `vramcast estimate …`, torch included, one run each. Aim: less than 1 GiB.

| question | peak | CPU seconds |
|---|---|---|
"""

SECTIONS = (whole_process, light_commands, replaying, daily_questions, peak_memory)
