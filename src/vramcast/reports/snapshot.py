"""The forecast as a memory snapshot of torch, for https://pytorch.org/memory_viz."""

from __future__ import annotations

from pathlib import Path

from vramcast.reports.interface import Forecast
from vramcast.snapshot import save_snapshot


class SnapshotReport:
    """A pickle such as `torch.cuda.memory._dump_snapshot` writes; binary, so it can only be saved."""

    def save(self, forecast: Forecast, path: Path) -> None:
        """Write the pickle. Raises `OutputError` when the path cannot be written."""
        save_snapshot(forecast.trace, forecast.timeline, path)
