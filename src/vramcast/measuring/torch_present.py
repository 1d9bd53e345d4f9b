"""Whether the torch that a workload names is the one that would run: measuring cannot stand for another version."""

from __future__ import annotations

import torch

from vramcast.environment import NEWEST_TORCH, Environment
from vramcast.errors import UsageError
from vramcast.workload import Workload


def require_torch(workload: Workload, said: str | None = None) -> None:
    """Raise `UsageError` where another torch is asked for than runs here, by major and minor number.

    A workload's default version names none: whatever is installed is measured, and the measurement says which. `said` is a version that was
    given by itself, the default too.
    """
    wanted = said or workload.environment.torch
    if said is None and wanted == NEWEST_TORCH:
        return
    if Environment(torch=wanted).torch_version != Environment(torch=torch.__version__).torch_version:
        here = f"torch {wanted} was asked for, but {torch.__version__} would be measured"
        raise UsageError(f"{here}. Install that version, or leave environment.torch (--torch) out.")
