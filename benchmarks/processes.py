"""Whole processes measured from outside: seconds, seconds of CPU and peak resident memory, as the kernel counts them (`wait4`)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

COMMAND_LINE = "from vramcast.cli.entry import main; raise SystemExit(main())"
"""What the console script `vramcast` runs."""
_KIB = 1024  # of `ru_maxrss` on Linux (getrusage(2))


@dataclass(frozen=True, slots=True)
class Run:
    """What a process took."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def vramcast(arguments: str) -> list[str]:
    """Return the command of `vramcast <arguments>`."""
    return [sys.executable, "-c", COMMAND_LINE, *arguments.split()]


def python(code: str) -> list[str]:
    """Return the command of `python -c <code>`."""
    return [sys.executable, "-c", code]


def measure(command: Sequence[str]) -> Run:
    """Run a command to its end. Raises `CalledProcessError` where it fails; that a workload does not fit is no failure."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise subprocess.CalledProcessError(process.returncode, command)
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _KIB)


def smallest(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, Run]:
    """Run the commands in turn, round after round, and return the smallest figures of each: what else the machine does only adds to them."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            runs[name].append(measure(command))
    return {
        name: Run(min(run.seconds for run in found), min(run.cpu_seconds for run in found), max(run.peak_bytes for run in found))
        for name, found in runs.items()
    }


def imports(command: Sequence[str], package: str) -> bool:
    """Tell whether a Python command imports a package, by `python -X importtime`."""
    python_itself, *rest = command
    done = subprocess.run([python_itself, "-X", "importtime", *rest], capture_output=True, text=True, check=True)
    return any(line.rpartition("|")[2].strip() == package for line in done.stderr.splitlines())
