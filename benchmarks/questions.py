"""How fast questions are answered: `python -m benchmarks.questions [--write docs/benchmark-questions.md]`.

    points      1,000 points of batch x image from a family: live peaks at once, and replays on two processes
    fit         what a fit takes but for its traces, and its whole process beside that of one estimate
    trial       the largest batch by trial with MemTracker under FakeTensorMode, beside a fit

Every figure comes from a process of its own where it says so; sizes are those of ResNet-50 in fp32 with AdamW.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from vramcast.allocator.config import AllocatorConfig
from vramcast.family import build
from vramcast.family.piece import Point
from vramcast.gpu.catalogue import find
from vramcast.solvers import fit as fits
from vramcast.solvers.peaks import live_peaks
from vramcast.solvers.points import IMAGE, Points, find_model
from vramcast.solvers.sweep.engines import engine_named
from vramcast.solvers.sweep.grid import Combination, grid
from vramcast.solvers.sweep.work import records_of, shares
from vramcast.trace import Trace
from vramcast.workload import Workload
from vramcast.workspace.stack import stack_of

MODEL, CARD = "torchvision:resnet50", "rtx 4090"
WORKLOAD = Workload.train()
BATCHES, SIDES = range(1, 41), range(224, 1000, 32)
_COMMAND = "import sys; from vramcast.cli.main import main; sys.exit(main())"
_RUNS = 3


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="write the table into this file")
    parser.add_argument("--without-trial", action="store_true", help="leave out the search by MemTracker, which takes minutes")
    options = parser.parse_args()
    rows = [*points(), *fitting(), *([] if options.without_trial else trial())]
    text = _HEAD + "\n".join(["| what | seconds |", "|---|---|", *(f"| {what} | {seconds} |" for what, seconds in rows)]) + "\n"
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")


def points() -> list[tuple[str, str]]:
    """A thousand points from one family."""
    card = find(CARD)
    tracing = Points(find_model(MODEL), WORKLOAD, card, IMAGE)
    tracing.trace((2, 224, 224))  # packages are imported
    start = time.perf_counter()
    family = build(tracing.trace, IMAGE, (BATCHES[0], BATCHES[-1]), [(side, side) for side in SIDES])
    built = time.perf_counter() - start
    asked = [(batch, side, side) for side, batch in itertools.product(SIDES, BATCHES)]
    (piece,) = family.pieces
    live = _median(lambda: live_peaks(piece, asked, stack_of(card, WORKLOAD), AllocatorConfig()), time.process_time)
    combination = Combination({}, WORKLOAD, card)
    laid_out = grid(MODEL, [combination], {"batch": tuple(BATCHES), "image": tuple(SIDES)}, ["batch", "image"])
    work = shares(laid_out, combination, family, [(index, point) for index, _, point in laid_out.places()], 16)
    engine = engine_named(None, 2)
    list(engine(records_of, work[:4]))  # processes are started
    start = time.perf_counter()
    found = sum(len(records) for records in engine(records_of, work))
    assert found == len(asked)
    replayed = time.perf_counter() - start
    start = time.process_time()
    some = [record for share in work[::8] for record in records_of(share)]
    each = 1000 * (time.process_time() - start) / len(some)
    return [
        (f"traces and family over {len(asked):,} points", f"{built:.2f}"),
        (f"live peaks of {len(asked):,} points", f"{live:.2f} of processor time"),
        (f"whole forecasts of {len(asked):,} points, replayed on two processes", f"{replayed:.2f} ({each:.1f} ms of processor time for each)"),
    ]


def fitting() -> list[tuple[str, str]]:
    """A fit after its traces, and whole processes."""
    after = statistics.median(_fit_without_tracing() for _ in range(_RUNS))
    options = [MODEL, "--train", "--gpu", CARD]
    estimate, fit = (_median(lambda words=words: _run(words)) for words in (["estimate", *options, "--batch", "64"], ["fit", *options]))
    return [
        ("`fit` but for its traces: families, searches, replays", f"{after:.2f}"),
        ("`estimate`, whole process", f"{estimate:.2f}"),
        ("`fit`, whole process", f"{fit:.2f} ({fit / estimate:.2f} times an estimate)"),
    ]


class _TimedPoints(Points):
    """Knows how long its traces took."""

    tracing = 0.0

    def trace_with(self, point: Point, accumulate: int) -> Trace:
        start = time.perf_counter()
        try:
            return super().trace_with(point, accumulate)
        finally:
            self.tracing += time.perf_counter() - start


def _fit_without_tracing() -> float:
    """Return how long a fit takes but for its traces: families, searches and replays."""
    points = _TimedPoints(find_model(MODEL), WORKLOAD, find(CARD), fits.AXES["batch"])
    start = time.perf_counter()
    fits.fit_points(points, "batch")
    return time.perf_counter() - start - points.tracing


def trial() -> list[tuple[str, str]]:
    """The largest batch by doubling and halving, each batch one run of MemTracker, as a user without a family does it."""
    from dataclasses import replace

    from benchmarks.subjects import _classify, subjects
    from benchmarks.tools import mem_tracker

    subject, usable, tried = subjects()["ResNet-50"], find(CARD).usable_bytes, []

    def holds(batch: int) -> bool:
        seconds, peak = mem_tracker(replace(subject, batch=batch, loss=_classify(batch)))
        tried.append(seconds)
        return peak is not None and peak <= usable

    low, high = 1, 2
    while holds(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    start = time.perf_counter()
    found = fits.fit(MODEL, WORKLOAD, CARD)
    seconds = time.perf_counter() - start
    total = sum(tried)
    return [
        (f"largest batch by trial with MemTracker: {low}, {len(tried)} batches tried", f"{total:.1f}"),
        (
            f"`vramcast.fit` in a process that has imported the same: {found.batch} to {found.batch_may}",
            f"{seconds:.2f} ({total / seconds:.0f} times faster)",
        ),
    ]


def _run(words: list[str]) -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", _COMMAND, *words], check=True, capture_output=True)


def _median(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    return statistics.median(_seconds(work, clock) for _ in range(_RUNS))


def _seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    work()
    return clock() - start


_HEAD = """# How fast questions are answered

One run of `python -m benchmarks.questions`: ResNet-50 in fp32 training with AdamW, two steps, for an RTX 4090; medians of three runs where
a figure is short, on two cores. MemTracker counts live tensors, so its batch leaves out what the
allocator rounds, workspaces and the CUDA context.

"""

if __name__ == "__main__":
    main()
