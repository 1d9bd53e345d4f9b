"""The table of reports. Listing it imports none of them."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from vramcast.errors import UnknownNameError
from vramcast.reports.interface import Report


@dataclass(frozen=True, slots=True)
class _Entry:
    module: str
    """Module that holds the class."""
    class_name: str
    suffixes: tuple[str, ...]
    """File name endings that mean this report."""


_REPORTS = {
    "terminal": _Entry("vramcast.reports.terminal", "TerminalReport", (".txt",)),
    "json": _Entry("vramcast.reports.json", "JsonReport", (".json",)),
    "snapshot": _Entry("vramcast.reports.snapshot", "SnapshotReport", (".pickle", ".pkl")),
}


def names() -> tuple[str, ...]:
    """Return the names of all reports."""
    return tuple(_REPORTS)


def name_for(path: Path) -> str | None:
    """Return the report that a file of this name would hold; None where the ending does not tell."""
    return next((name for name, entry in _REPORTS.items() if path.suffix.lower() in entry.suffixes), None)


def load(name: str) -> Report:
    """Return the report of this name.

    Raises:
        UnknownNameError: there is none.
    """
    entry = _REPORTS.get(name)
    if entry is None:
        raise UnknownNameError("report", name, _REPORTS)
    return cast(Report, getattr(importlib.import_module(entry.module), entry.class_name)())
