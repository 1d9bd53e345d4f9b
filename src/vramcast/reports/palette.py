"""One label and one fixed colour per component, for every report and plot.

The hues follow `torch.profiler`'s memory timeline (torch 2.13, `torch/profiler/_memory_profiler.py`, `_CATEGORY_TO_COLORS`:
parameters green, gradients blue, activations red, optimizer states golden, temporaries purple), moved to the Okabe-Ito
palette (Okabe and Ito, "Color Universal Design", 2008), whose colours stay apart for colour-blind eyes. The remaining components were
placed around it: any two colours are at least 10 apart in CIELAB (1976), as seen with normal, protan and deutan vision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Swatch:
    """How one component looks."""

    label: str
    """Name for people, at most 16 characters."""
    colour: str
    """sRGB, `#RRGGBB`."""


SWATCHES: Mapping[str, Swatch] = MappingProxyType(
    {
        "weights": Swatch("weights", "#009E73"),
        "buffers": Swatch("buffers", "#1F6A45"),
        "gradients": Swatch("gradients", "#0072B2"),
        "optimizer_states": Swatch("optimizer states", "#E69F00"),
        "ema": Swatch("EMA", "#D3D04F"),
        "cast_copies": Swatch("cast copies", "#56B4E9"),
        "inputs": Swatch("inputs", "#A0A03A"),
        "staging": Swatch("staging", "#8A6D32"),
        "activations": Swatch("activations", "#D55E00"),
        "outputs": Swatch("outputs", "#FE7596"),
        "temporaries": Swatch("temporaries", "#CC79A7"),
        "workspace": Swatch("workspace", "#882D77"),
        "kv_cache": Swatch("KV cache", "#4B4ACF"),
        "communication": Swatch("communication", "#8C3026"),
        "other": Swatch("other", "#747474"),
        "reserved_unallocated": Swatch("reserved, unused", "#B8B8B8"),
        "cuda_context": Swatch("CUDA context", "#505050"),
    }
)
"""Component, as named in the JSON, -> its swatch; in the order in which stacked plots pile them up, from the bottom."""
