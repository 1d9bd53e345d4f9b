"""Whether there is anything to measure on, told before a process is started; nothing here makes a context."""

from __future__ import annotations

from vramcast.errors import UsageError
from vramcast.gpu.present import present_cards

WAY_OUT = "`vramcast estimate` takes the same options and forecasts without one."


def require_card() -> None:
    """Raise `UsageError` where there is no NVIDIA card, or where torch was built without CUDA."""
    if not present_cards():
        raise UsageError(f"measuring needs an NVIDIA card, and none is found in this machine. {WAY_OUT}")
    import torch

    if torch.version.cuda is None:
        raise UsageError(f"measuring needs a CUDA build of torch; {torch.__version__} is built without. Install one from pytorch.org. {WAY_OUT}")
