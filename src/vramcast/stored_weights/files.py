"""Which reader a file of weights has."""

from __future__ import annotations

from pathlib import Path

from vramcast.stored_weights.gguf_header import read_gguf
from vramcast.stored_weights.interface import StoredWeights
from vramcast.stored_weights.safetensors_header import INDEX, read_safetensors

GGUF, SAFETENSORS = ".gguf", ".safetensors"


def is_weights_file(name: str) -> bool:
    """Tell by its ending whether a name is that of a file of weights."""
    return name.lower().endswith((GGUF, SAFETENSORS, INDEX))


def read_weights(path: Path) -> StoredWeights:
    """Read the header of a GGUF or safetensors file, or of all files of an index. Raises as their readers do."""
    return read_gguf(path) if path.name.lower().endswith(GGUF) else read_safetensors(path)
