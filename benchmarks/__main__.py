"""Prints the table: `python -m benchmarks [--write docs/benchmark.md] [--tools vramcast MemTracker]`.

Every figure comes from a process of its own, so that no tool profits from what another has loaded or cached.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

_NAMES = ("ResNet-50", "ViT-B/16", "ConvNeXt-T", "YOLO11m", "BERT-base")
_TOOLS = ("vramcast", "MemTracker", "torchinfo", "torch-preflight", "CPU step")
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


def _table(models: list[str], tools: list[str]) -> str:
    rows = ["| model | " + " | ".join(tools) + " |", "|---|" + "---|" * len(tools)]
    for model in models:
        measured = {tool: _measure(tool, model) for tool in tools}
        base = measured.get("vramcast", (None, None))[0]
        rows.append(f"| {model} | " + " | ".join(_cell(*measured[tool], base) for tool in tools) + " |")
        print(rows[-1], file=sys.stderr)
    return _HEAD + "\n".join(rows) + "\n"


def _cell(seconds: float | None, peak: int | None, base: float | None) -> str:
    if seconds is None:
        return "failed"
    ratio = f" ({seconds / base:.1f}×)" if base else ""
    return f"{seconds:.2f} s{ratio}" + (f"<br>{peak / 2**30:.2f} GiB" if peak else "")


_HEAD = """# Speed beside other tools

Two training steps with AdamW in fp32; batch 32 at 224 px, YOLO11m with its real loss at batch 16 and 640 px, BERT-base at batch 8 and
512 tokens. Seconds without imports, in brackets as a multiple of vramcast's; below, the peak each tool reports, by its own reckoning:
vramcast the allocated bytes on the GPU, MemTracker the live tensors, torchinfo the outputs of all layers of a forward pass,
torch-preflight its formula. The CPU step runs two real steps. One run of `python -m benchmarks`, every figure in a process of its own.

"""

if __name__ == "__main__":
    main()
