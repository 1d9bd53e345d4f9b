"""A study as files: JSON, and its rows as CSV or Parquet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from vramcast.atomic_file import write_atomically
from vramcast.calibration.families import family_of
from vramcast.reports import tables
from vramcast.reports.palette import SWATCHES
from vramcast.study.models.findings import Study
from vramcast.study.models.forecast import MODES
from vramcast.study.models.groups import group_of
from vramcast.study.models.row import ModeFigures, Row
from vramcast.study.models.series import series_of

_FIGURES = ("batch", "allocated_bytes", "reserved_bytes", "device_bytes", "low_bytes", "high_bytes", "phase", "activations_bytes",
            "early_bytes", "depthwise_bytes")  # fmt: skip


def flat(row: Row) -> dict[str, Any]:
    """Return one line of a table: the model, then the figures of inference and of training under `infer_…` and `train_…`."""
    height, width = row.image or (None, None)
    head = {"model": row.model, "group": group_of(row), "family": family_of(row.model), "series": series_of(row.model), "task": row.task,
            "height": height, "width": width, "parameters": row.parameters}  # fmt: skip
    figures = {f"{mode}_{name}": value for mode in MODES for name, value in _figures(getattr(row, mode)).items()}
    return {**head, **figures, "error": row.error}


def _figures(figures: ModeFigures | None) -> dict[str, Any]:
    held = {} if figures is None else figures.components
    components = {f"{name}_bytes": None if figures is None else held.get(name, 0) for name in SWATCHES}
    module = figures.modules[0].name if figures and figures.modules else None
    return {**{name: getattr(figures, name, None) for name in _FIGURES}, "largest_module": module, **_renamed(components)}


def _renamed(components: dict[str, Any]) -> dict[str, Any]:
    """Keep what is held as activations when most is allocated apart from the most that ever is."""
    return {f"held_{name}": value for name, value in components.items()}


def as_json(study: Study) -> bytes:
    """Return everything, `vramcast/study-1`."""
    return msgspec.json.format(msgspec.json.encode(study), indent=2) + b"\n"


def as_csv(study: Study) -> bytes:
    """Return a line per model under a header."""
    return tables.as_csv([flat(row) for row in study.rows])


def as_parquet(study: Study) -> bytes:
    """Return a table of the models. Raises `MissingExtraError`."""
    return tables.as_parquet([flat(row) for row in study.rows])


FORMATS: dict[str, Callable[[Study], bytes]] = {"json": as_json, "csv": as_csv, "parquet": as_parquet}


def format_for(path: Path) -> str:
    """Return the format that a file's ending means. Raises `UsageError` where it means none."""
    return tables.format_for(path, FORMATS)


def write(study: Study, path: Path, form: str) -> None:
    """Write a study to a file, whole or not at all. Raises `OutputError`, and as the format's own function."""
    content = FORMATS[form](study)
    write_atomically(path, lambda file: file.write(content))
