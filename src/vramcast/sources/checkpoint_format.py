"""How a checkpoint packs its weights, as its `config.json` says in `quantization_config`.

Names and fields: transformers 5.23, `utils/quantization_config.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vramcast.errors import InvalidFileError
from vramcast.weight_formats import FORMATS, WeightFormat

_FOUR = 4


def weights_of(path: Path, settings: Mapping[str, Any]) -> str | None:
    """Return the format of the weights, as `--weights` takes it; None where they are not packed.

    Raises:
        InvalidFileError: packed in a way that is not known.
    """
    packing = settings.get("quantization_config")
    if packing is None:
        return None
    name = _name(packing) if isinstance(packing, Mapping) else None
    if name is None:
        method = packing.get("quant_method") if isinstance(packing, Mapping) else packing
        raise InvalidFileError(
            f"{path}: weights packed by {method!r} with these settings are not known. Known: {', '.join(FORMATS)}. "
            "Take quantization_config out of the file, and name the closest with --weights."
        )
    WeightFormat.parse(name)
    return name


def _name(packing: Mapping[str, Any]) -> str | None:
    method = str(packing.get("quant_method", "")).lower()
    bits, group = packing.get("bits", packing.get("w_bit", _FOUR)), packing.get("group_size", packing.get("q_group_size", 128))
    if method in ("gptq", "awq") and bits == _FOUR and isinstance(group, int) and group > 0:
        return f"int4-{method}:{group}"
    if method == "bitsandbytes":
        if packing.get("load_in_8bit"):
            return "int8"
        if packing.get("load_in_4bit"):
            return "int4-nf4-double" if packing.get("bnb_4bit_use_double_quant") else "int4-nf4"
    return "fp8" if method in ("fp8", "fbgemm_fp8") else None
