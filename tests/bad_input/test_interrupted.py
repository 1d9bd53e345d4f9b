"""Ctrl-C while a forecast runs: exit code 130, one line, and nothing on the disk that was not there before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vramcast.cli.main import main

NET = """
import pathlib
import time

from torch import nn


class Slow(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x):
        pathlib.Path("begun").touch()
        time.sleep(60)


def build():
    return Slow()
"""
SCRIPT = "vramcast.cli.entry"
"""What `[project.scripts]` of pyproject.toml names, as a test below sees to."""
INTERRUPTED_IMPORT = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from {script} import main
sys.exit(main())
"""
RUN = [sys.executable, "-c", "import sys; from vramcast.cli.main import main; sys.exit(main())"]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_during_a_forecast_leaves_the_old_answer(here):
    (here / "net.py").write_text(NET)
    (here / "answers").mkdir()
    (here / "answers" / "answer.json").write_text("old")
    arguments = [*RUN, "estimate", "net.py:build", "--train", "--input", "x=4x8", "-o", "answers/answer.json"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_interruptible)
    deadline = time.monotonic() + 60
    while not (here / "begun").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "\nvramcast: interrupted\n")
    assert [(path.name, path.read_text()) for path in (here / "answers").iterdir()] == [("answer.json", "old")]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["vramcast.cli.main", "click", "vramcast.cli.options", "msgspec", "vramcast.pipeline", "numpy", "torch"])
def test_ctrl_c_while_something_is_imported(here, name):
    code = INTERRUPTED_IMPORT.format(name=name, script=SCRIPT)
    arguments = [sys.executable, "-c", code, "estimate", "torchvision:resnet18", "--batch", "1"]
    done = subprocess.run(arguments, capture_output=True, text=True, preexec_fn=_interruptible, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "\nvramcast: interrupted\n")


def test_the_console_script_is_the_one_that_is_tested():
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'vramcast = "{SCRIPT}:main"' in project


@pytest.mark.parametrize("moment", ["forward", "backward", "loss", "build"])
def test_a_keyboard_interrupt_is_never_put_down_to_the_model(refused, here, capsys, moment):
    (here / "net.py").write_text(INTERRUPTED)
    code = main(
        ["estimate", f"net.py:{moment}", "--train", "--input", "input=4x8", "--loss", "net.py:interrupted" if moment == "loss" else "net.py:mean"]
    )
    assert (code, *capsys.readouterr()) == (130, "", "\nvramcast: interrupted\n")


INTERRUPTED = """
import torch
from torch import nn


class Interrupts(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise KeyboardInterrupt


class Forward(nn.Linear):
    def forward(self, input):
        raise KeyboardInterrupt


class Backward(nn.Linear):
    def forward(self, input):
        return Interrupts.apply(super().forward(input))


def forward():
    return Forward(8, 8)

def backward():
    return Backward(8, 8)

def loss():
    return nn.Linear(8, 8)

def build():
    raise KeyboardInterrupt

def mean(outputs):
    return outputs.mean()

def interrupted(outputs):
    raise KeyboardInterrupt
"""


def _interruptible() -> None:
    """Let Ctrl-C reach the process even where these tests run in the background of a shell, which has its children ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
