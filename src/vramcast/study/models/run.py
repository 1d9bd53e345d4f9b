"""The rows of a study: in parallel processes, going on where an earlier one stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from vramcast.gpu.spec import GpuSpec
from vramcast.provenance import digest_of
from vramcast.record_store import RecordStore, in_cache
from vramcast.study.models.forecast import Asked, forecast_model, killed
from vramcast.study.models.row import Row
from vramcast.worker_pool import in_processes

Counted = Callable[[int, int], None]
_PER_POOL = 128
"""Models after which processes are replaced: torch and the model packages remember a little of each."""


def rows(
    names: Sequence[str], fields: Mapping[str, Any], card: GpuSpec | None, store: RecordStore[Row], processes: int | None = None,
    progress: Counted | None = None,
) -> list[Row]:  # fmt: skip
    """Forecast models by their full names, and return their rows in that order; what `store` holds is not forecast again."""
    tell = progress or (lambda _done, _total: None)
    asked = {name: Asked(name, fields, card) for name in names}
    keys = {name: fingerprint(one) for name, one in asked.items()}
    found = {name: row for name in asked if (row := store.find(keys[name])) is not None}
    tell(len(found), len(asked))
    left = [one for name, one in asked.items() if name not in found]
    for one, row in in_processes(forecast_model, left, processes or os.cpu_count() or 1, killed, per_pool=_PER_POOL):
        store.keep(keys[one.model], row)
        found[one.model] = row
        tell(len(found), len(asked))
    return [found[name] for name in names]


def fingerprint(asked: Asked) -> str:
    """Return a digest of all a row follows from: model, workload, card, this room's reading of it, vramcast's code and the packages."""
    folder = Path(__file__).parent
    own = b"".join((folder / name).read_bytes() for name in ("row.py", "held.py", "workloads.py", "forecast.py"))
    return digest_of(msgspec.json.encode((asked.model, asked.fields, asked.card)), own)


def store_at(path: Path | None) -> RecordStore[Row]:
    """Return the file of rows: by default in the user's cache."""
    return RecordStore(path or in_cache("study.jsonl"), "row", Row)
