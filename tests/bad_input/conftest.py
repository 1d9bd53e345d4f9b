"""How every test here asks: one command line, run in this process, that ends in an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vramcast.cli.main import main

Refused = Callable[..., tuple[int, str]]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run a command line that is refused; return its exit code and the message, whole but for what stands before every message."""

    def run(*arguments: str) -> tuple[int, str]:
        code = main(arguments)
        out, err = capsys.readouterr()
        assert out == ""
        assert "Traceback" not in err
        _, _, message = err.partition("rror: ")
        return code, message.removesuffix("\n")

    return run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
