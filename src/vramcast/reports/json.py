"""The estimate as JSON, as `estimate-1.schema.json` in this folder describes it."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

import msgspec

from vramcast.atomic_file import write_atomically
from vramcast.footprint import Estimate
from vramcast.reports.interface import Forecast


class JsonReport:
    """Every field of the `Estimate`, in the order of its definition; sizes in bytes."""

    def show(self, forecast: Forecast, stream: TextIO) -> None:
        """Print the JSON, indented, ending in a line break."""
        stream.write(encode(forecast.estimate).decode())

    def save(self, forecast: Forecast, path: Path) -> None:
        """Write the JSON in UTF-8. Raises `OutputError` when the path cannot be written."""
        write_atomically(path, lambda file: file.write(encode(forecast.estimate)))


def encode(estimate: Estimate) -> bytes:
    """Return the estimate as indented JSON in UTF-8, ending in a line break."""
    return msgspec.json.format(msgspec.json.encode(estimate), indent=2) + b"\n"
