"""Runs a campaign's jobs one after the other, each in a process of its own, until they are done or the time is up.

While one job runs, the next process already imports torch and builds its module; it touches the card only when it is told to.
Jobs whose results are there are passed over, so a campaign that was stopped goes on where it was.
"""

from __future__ import annotations

import os
import queue
import subprocess
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import msgspec

from vramcast.atomic_file import write_atomically
from vramcast.measurement import Failure
from vramcast.measurement_file import load_measurement
from vramcast.measuring.jobs import Job, write_request
from vramcast.measuring.request import READY, CaseRequest

AHEAD = 1
"""Processes made ready while one runs."""
LONGEST_JOB = 600.0
"""Seconds after which a job is ended and counts as failed."""
_LAST_WORDS = 2000
"""Characters of a failed process's standard error that are kept."""

Progress = Callable[[str, int, int], None]
"""Told a line, how many jobs are done, and how many there are."""


@dataclass(slots=True)
class Tally:
    """How a campaign went."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """`ok`, `out_of_memory`, `failed`: of this run and of those before."""
    left: int = 0
    """Jobs that the time did not suffice for."""


def run_campaign(
    jobs: Sequence[Job], progress: Progress, budget: float | None = None, longest_job: float = LONGEST_JOB,
    command: Callable[[Job, Path], Sequence[str]] = Job.command,
) -> Tally:  # fmt: skip
    """Run the jobs that are not done yet; `budget` in seconds, None: as long as it takes."""
    end = None if budget is None else time.monotonic() + budget
    pending = deque(job for job in jobs if not job.is_done)
    with tempfile.TemporaryDirectory(prefix="vramcast-") as folder:
        waiting: deque[_Process] = deque()
        try:
            while (pending or waiting) and _time_left(end, longest_job) > 0:
                while pending and len(waiting) <= AHEAD:
                    waiting.append(_Process(pending.popleft(), Path(folder), command))
                process = waiting.popleft()
                finished = _finish(process, end, longest_job)
                if finished is not None:
                    progress(finished, len(jobs) - len(pending) - len(waiting), len(jobs))
        finally:
            for process in waiting:
                process.stop()
    return tally(jobs)


def tally(jobs: Sequence[Job]) -> Tally:
    """Count what is there."""
    found = Tally()
    for job in jobs:
        if job.is_done:
            found.outcomes[_outcome(job)] += 1
        else:
            found.left += 1
    return found


def _outcome(job: Job) -> str:
    if job.failure.is_file():
        return "failed"
    return load_measurement(job.output).outcome if isinstance(job.request, CaseRequest) else "ok"


def _time_left(end: float | None, longest_job: float) -> float:
    return longest_job if end is None else min(end - time.monotonic(), longest_job)


def _finish(process: _Process, end: float | None, longest_job: float) -> str | None:
    """Let a process have the card; return what came of it in words, None where the budget ended it."""
    job, begin = process.job, time.monotonic()
    code = process.run(_time_left(end, longest_job))
    seconds = time.monotonic() - begin
    if code is None and seconds < longest_job:
        return None
    if code != 0 or not job.output.is_file():
        reason = f"ended after {longest_job:.0f} s" if code is None else process.last_words() or f"exit code {code}"
        _write_failure(job, reason)
        return f"{job.id}  failed: {reason.splitlines()[-1]}"
    return f"{job.id}  {_outcome(job)}  {seconds:.1f} s"


def _write_failure(job: Job, reason: str) -> None:
    failure = Failure(id=job.id, reason=reason, request=msgspec.Raw(msgspec.json.encode(job.request)))
    write_atomically(job.failure, lambda file: file.write(msgspec.json.encode(failure)))


class _Process:
    """A process that gets ready by itself and runs when told."""

    def __init__(self, job: Job, folder: Path, command: Callable[[Job, Path], Sequence[str]]) -> None:
        self.job = job
        self._errors = folder / f"{job.id}.stderr"
        with open(self._errors, "wb") as errors:
            self._process = subprocess.Popen(
                command(job, write_request(job, folder)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                text=True, env=dict(job.environment), cwd=os.getcwd(),
            )  # fmt: skip
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        assert self._process.stdout is not None
        threading.Thread(target=_forward, args=(self._process.stdout, self._lines), daemon=True).start()

    def run(self, seconds: float) -> int | None:
        """Wait until it is ready, let it go, and return its exit code; None where it was ended because `seconds` were over."""
        end = time.monotonic() + seconds
        try:
            while self._lines.get(timeout=max(end - time.monotonic(), 0.01)) not in (READY, ""):
                continue  # what a model's constructor prints
            self._go()
            return self._process.wait(max(end - time.monotonic(), 0.01))
        except (queue.Empty, subprocess.TimeoutExpired):
            return None
        finally:
            self.stop()

    def last_words(self) -> str:
        """Return the end of what it wrote to standard error."""
        return self._errors.read_text(encoding="utf-8", errors="replace").strip()[-_LAST_WORDS:]

    def stop(self) -> None:
        """End it, if it has not ended."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def _go(self) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("go\n")
            self._process.stdin.close()
        except BrokenPipeError:
            return  # it ended before; its exit code says how


def _forward(stream: IO[str], lines: queue.SimpleQueue[str]) -> None:
    """Hand on the lines of a stream, and an empty one at its end."""
    for line in stream:
        lines.put(line.strip() or " ")
    lines.put("")
