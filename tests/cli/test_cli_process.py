"""The command line as a process of its own: what it imports, how fast it answers, signals and pipes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RUN = [sys.executable, "-c", "import sys; from vramcast.cli.main import main; sys.exit(main())"]
HEAVY = {"torch", "numpy", "rich"}


@pytest.mark.parametrize("arguments", [["--help"], ["estimate", "--help"], ["rules", "--params", "100M"], ["gpus"], ["gpus", "--format", "json"]])
def test_what_needs_no_forecast_loads_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys; from vramcast.cli.main import main; code = main(sys.argv[1:]); "
        f"print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    result = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert result.stderr == "[]\n"
    assert result.stdout


@pytest.mark.skipif(os.name == "nt", reason="processor time of children is not told there")
@pytest.mark.parametrize("arguments", [["--help"], ["rules"], ["gpus"]])
def test_it_answers_within_a_third_of_a_second(arguments: list[str]) -> None:
    def seconds() -> float:
        """Processor time, since the machine may be busy with other things."""
        before = os.times()
        subprocess.run([*RUN, *arguments], check=True, capture_output=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(seconds() for _ in range(3)) < 0.3


@pytest.mark.skipif(os.name == "nt", reason="the shell of POSIX")
def test_a_closed_pipe_is_no_error() -> None:
    command = " ".join(f"'{part}'" for part in RUN)
    result = subprocess.run(["bash", "-c", f"set -o pipefail; {command} gpus | true"], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_it_cleanly(tmp_path: Path) -> None:
    begun, output = tmp_path / "begun", tmp_path / "out" / "answer.json"
    output.parent.mkdir()
    model = tmp_path / "model.py"
    model.write_text(f"import pathlib, time\n\ndef build():\n    pathlib.Path({str(begun)!r}).touch()\n    time.sleep(60)\n")
    arguments = [*RUN, "estimate", f"{model}:build", "--input", "input=4x1024", "-o", str(output)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_interruptible)
    deadline = time.monotonic() + 60
    while not begun.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err.strip()) == (130, "", "vramcast: interrupted")
    assert list(output.parent.iterdir()) == []


def _interruptible() -> None:
    """Let Ctrl-C reach the process even where these tests run in the background of a shell, which has its children ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
