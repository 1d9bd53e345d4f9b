"""`vramcast.study`: many models at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vramcast.errors import ForecastError, UsageError
from vramcast.gpu.catalogue import resolve
from vramcast.gpu.spec import GpuSpec
from vramcast.study.models.choice import chosen
from vramcast.study.models.findings import Study, findings
from vramcast.study.models.forecast import MODES
from vramcast.study.models.run import Counted, rows, store_at
from vramcast.study.models.workloads import workload_of

DEFAULT_TASK = "classify"


def study(
    patterns: str | Sequence[str] = (), gpu: str | GpuSpec | None = None, *, sample: int | None = None, processes: int | None = None,
    results: str | os.PathLike[str] | None = None, progress: Counted | None = None, **fields: Any,
) -> Study:  # fmt: skip
    """Hold the parameters of many models against the memory that they take in inference and in training.

    `patterns` are fnmatch's (`timm:vit_*`) or parts of names; none: every model that can be built by name. `sample` takes at most so many
    of each source. `fields` are those of a workload, but for `mode`: each model is forecast in inference and in training, at its own image
    size and the usual batch of its task where they say nothing. Rows are kept in the file `results` (None: in the user's cache) as they
    come: what is there and still valid is not forecast again. A model that cannot be forecast says so in its row.

    Raises:
        UsageError: a pattern that matches nothing, an unknown card, an illegal field.
        ForecastError: no model could be forecast.
    """
    if "mode" in fields:
        raise UsageError(f"mode {fields['mode']!r}: a study forecasts each model in inference and in training. Leave mode out.")
    for mode in MODES:
        workload_of(fields, mode, DEFAULT_TASK)  # refused before anything is traced
    card = resolve(gpu) if isinstance(gpu, str) else gpu
    names = chosen([patterns] if isinstance(patterns, str) else patterns, sample)
    with store_at(None if results is None else Path(results)) as store:
        found = rows(names, fields, card, store, processes, progress)
    if not any(row.infer or row.train for row in found):
        raise ForecastError(f"none of {len(found)} models could be forecast. The first: {found[0].error}")
    return findings(found, fields, None if card is None else card.name)
