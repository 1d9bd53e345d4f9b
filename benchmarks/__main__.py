"""Prints the tables: `python -m benchmarks [--write docs/benchmark.md] [--tools vramcast MemTracker]`.

Every figure comes from a process of its own, so that no tool profits from what another has loaded or cached.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.sections import SECTIONS

_NAMES = ("ResNet-50", "ViT-B/16", "ConvNeXt-T", "YOLO11m", "BERT-base")
_TOOLS = ("vramcast", "MemTracker", "torchinfo", "torch-preflight", "CPU step")
_ROUNDS = {"vramcast": 3, "MemTracker": 2}
"""How often a tool is run, in turn with the others; the smallest figure counts. All others are run once."""
_LIMIT_S = 900


def main() -> None:
    """Run what was asked for and print or write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="write the table into this file")
    parser.add_argument("--models", nargs="+", default=_NAMES, choices=_NAMES)
    parser.add_argument("--tools", nargs="+", default=_TOOLS, choices=_TOOLS)
    parser.add_argument("--one", nargs=2, metavar=("TOOL", "MODEL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        _run_one(*options.one)
        return
    text = _table(options.models, options.tools)
    for section in SECTIONS:
        text += section()
        print(section.__name__, "done", file=sys.stderr)
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")


def _run_one(tool: str, model: str) -> None:
    from benchmarks.subjects import subjects
    from benchmarks.tools import TOOLS

    seconds, peak = TOOLS[tool](subjects()[model])
    print(json.dumps({"seconds": seconds, "bytes": peak}))


def _measure(tool: str, model: str) -> tuple[float | None, int | None]:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks", "--one", tool, model]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
        answer = json.loads(done.stdout.strip().splitlines()[-1])
    except (subprocess.TimeoutExpired, json.JSONDecodeError, IndexError):
        return None, None
    return answer["seconds"], answer["bytes"]


def _smallest(tools: list[str], model: str) -> dict[str, tuple[float | None, int | None]]:
    """Run the tools in turn, round after round, and keep the fastest run of each."""
    found: dict[str, list[tuple[float | None, int | None]]] = {tool: [] for tool in tools}
    for index in range(max(_ROUNDS.values())):
        for tool in tools:
            if index < _ROUNDS.get(tool, 1):
                found[tool].append(_measure(tool, model))
    return {tool: min(runs, key=lambda run: float("inf") if run[0] is None else run[0]) for tool, runs in found.items()}


def _table(models: list[str], tools: list[str]) -> str:
    rows = ["| model | " + " | ".join(tools) + " |", "|---|" + "---|" * len(tools)]
    for model in models:
        measured = _smallest(tools, model)
        base = measured.get("vramcast", (None, None))[0]
        rows.append(f"| {model} | " + " | ".join(_cell(*measured[tool], base) for tool in tools) + " |")
        print(rows[-1], file=sys.stderr)
    return _HEAD + "\n".join(rows) + "\n"


def _cell(seconds: float | None, peak: int | None, base: float | None) -> str:
    if seconds is None:
        return "failed"
    ratio = f" ({seconds / base:.1f}×)" if base else ""
    return f"{seconds:.2f} s{ratio}" + (f"<br>{peak / 2**30:.2f} GiB" if peak else "")


_HEAD = """# Speed and memory of forecasts

Figures of `python -m benchmarks`, each in a process of its own, on a machine with two cores.

## Beside other tools

Two training steps with AdamW in fp32; batch 32 at 224 px, YOLO11m with its real loss at batch 16 and 640 px, BERT-base at batch 8 and
512 tokens. Seconds without imports, in brackets as a multiple of vramcast's; below, the peak each tool reports, by its own reckoning:
vramcast the allocated bytes on the GPU, MemTracker (under `FakeTensorMode`) the live tensors, torchinfo the outputs of all layers of a
forward pass, torch-preflight its formula; "CPU step" runs two real steps. vramcast takes three turns and MemTracker two, and the fastest
counts; the others take one, so that other work may have slowed them. Aim: ResNet-50 at least 8 times faster than MemTracker.

"""

if __name__ == "__main__":
    main()
