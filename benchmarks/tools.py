"""Each tool on one subject: how long it takes once imports are done, and what it says the step needs."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
from torch import nn

from benchmarks.subjects import Subject

Answer = tuple[float, int | None]
"""Seconds, and the peak in bytes by the tool's own reckoning (None: it gives none)."""

STEPS = 2


def vramcast(subject: Subject) -> Answer:
    """Build on meta, trace two steps, replay."""
    from vramcast.pipeline import estimate
    from vramcast.workload import Workload

    subject.build()  # packages are imported, as for every other tool
    workload = Workload.train(batch=subject.batch, optimizer="adamw", steps=STEPS, **subject.options)
    start = time.perf_counter()
    peak = estimate(subject.vramcast, workload).peak
    return time.perf_counter() - start, peak.allocated_bytes


def mem_tracker(subject: Subject) -> Answer:
    """`torch.distributed._tools.MemTracker` under `FakeTensorMode`, two steps; truncated normals, which fake tensors cannot draw, are left out."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed._tools.mem_tracker import MemTracker

    subject.build()
    start = time.perf_counter()
    with FakeTensorMode(allow_non_fake_inputs=True), mock.patch("torch.nn.init.trunc_normal_", lambda tensor, *_, **__: tensor):
        module = subject.build().train()
        optimizer = torch.optim.AdamW(module.parameters(), foreach=True)
        tracker = MemTracker()
        tracker.track_external(module, optimizer)
        with tracker:
            for _ in range(STEPS):
                subject.loss(module, "cpu").backward()
                optimizer.step()
                optimizer.zero_grad()
                tracker.reset_mod_stats()
    peak = tracker.get_tracker_snapshot("peak")
    return time.perf_counter() - start, max(snapshot["Total"] for snapshot in peak.values())


def torchinfo(subject: Subject) -> Answer:
    """`torchinfo.summary`: parameters and the outputs of all layers (forward only)."""
    from torchinfo import summary

    module = subject.build()
    dtypes = [torch.int64] if len(subject.inputs()) == 2 else None
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        result = summary(module, input_size=subject.inputs(), dtypes=dtypes, verbose=0)
    return time.perf_counter() - start, result.total_output_bytes + result.total_param_bytes + result.total_input


def torch_preflight(subject: Subject) -> Answer:
    """torch-preflight's estimate for the same model, batch and optimizer, as its command line gives it."""
    command = [
        str(Path(sys.executable).with_name("torch-preflight")), "estimate", "--model", f"benchmarks.entry:{_entry(subject)}",
        "--batch-size", str(subject.batch), "--dtype", "fp32", "--optimizer", "adamw", "--format", "json",
    ]  # fmt: skip
    if "image" in subject.options:
        command += ["--image-size", str(subject.options["image"])]
    if "seq" in subject.options:
        command += ["--seq-len", str(subject.options["seq"])]
    searched = os.pathsep.join([os.getcwd(), *filter(None, [os.environ.get("PYTHONPATH")])])
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": searched})
    seconds = time.perf_counter() - start
    return seconds, json.loads(done.stdout)["total_bytes"] or None


def cpu_step(subject: Subject) -> Answer:
    """Two real training steps on the CPU: what tracing spares one."""
    module: nn.Module = subject.build().train()
    optimizer = torch.optim.AdamW(module.parameters())
    start = time.perf_counter()
    for _ in range(STEPS):
        subject.loss(module, "cpu").backward()
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - start, None


TOOLS: dict[str, Callable[[Subject], Answer]] = {
    "vramcast": vramcast,
    "MemTracker": mem_tracker,
    "torchinfo": torchinfo,
    "torch-preflight": torch_preflight,
    "CPU step": cpu_step,
}


def _entry(subject: Subject) -> str:
    return subject.name.lower().replace("-", "_").replace("/", "_")
