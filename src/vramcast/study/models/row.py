"""What a study says of one model, with the very names of the JSON. All sizes are bytes (`int`)."""

from __future__ import annotations

import msgspec


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A module, or the calls of an operator, and what it holds when most is allocated."""

    name: str
    bytes: int


class ModeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One forecast: of an inference call, or of training."""

    batch: int
    allocated_bytes: int
    reserved_bytes: int
    device_bytes: int
    low_bytes: int
    high_bytes: int
    """Range of `device_bytes`."""
    phase: str
    """Phase in which most is allocated."""
    components: dict[str, int]
    """Component -> bytes when most is allocated; with what is reserved beyond that and the CUDA context they add up to `device_bytes`."""
    activations_bytes: int
    """The most that is held as activations at any instant."""
    modules: tuple[Holder, ...]
    """None inside another, those that hold most first."""
    operators: tuple[Holder, ...]
    """Those whose results hold most first."""
    early_bytes: int
    """Of what is held, what belongs to modules that work on feature maps of at least a quarter of the image's sides."""
    depthwise_bytes: int
    """Of what is held, what belongs to modules that contain depthwise convolutions."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One model."""

    model: str
    """Full name: `timm:convnext_tiny`."""
    task: str = ""
    image: tuple[int, int] | None = None
    """Height and width it was run at."""
    parameters: int = 0
    infer: ModeFigures | None = None
    train: ModeFigures | None = None
    error: str | None = None
    """Why a forecast is missing."""

    @property
    def is_whole(self) -> bool:
        """Both forecasts came about."""
        return self.infer is not None and self.train is not None
