"""What TensorRT's builder and runtime wrote in their logs."""

from __future__ import annotations

from vramcast.validation.case import Case, CaseSet, Unexpressed
from vramcast.validation.table import rows


class TensorRtLogs(CaseSet):
    """Nothing of it can be expressed: engines are another backend, whose figures are of its own arenas."""

    name = "tensorrt-logs"
    citation = "public logs and NVIDIA/TensorRT notebooks; rows of tensorrt_logs.csv name file and commit where they were recorded"
    environment = ""

    def read(self, folder: str | None) -> tuple[list[Case], list[Unexpressed]]:
        """Return every row with the reason that stands first against it."""
        return [], [Unexpressed(row["id"], _reason_against(row)) for row in rows(folder, "tensorrt_logs.csv")]


def _reason_against(row: dict[str, str]) -> str:
    if "Init CU" in row["metric"] or "Init cu" in row["metric"]:
        return "context and libraries of a TensorRT process, other processes on the card included"
    if row["confidence"] == "low":
        return "model or shapes are not stated"
    return "there is no TensorRT backend"
