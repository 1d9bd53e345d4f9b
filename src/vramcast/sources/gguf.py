"""Language models in GGUF files: the header tells the architecture and how each matrix is packed. Values are never read.

Architectures and the names of their settings are those that transformers reads GGUF files with (5.23, `integrations/ggml.py`), names of tensors
those of gguf-py's `tensor_mapping.py` (0.19).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vramcast.errors import InvalidFileError, MissingExtraError, UnknownNameError
from vramcast.sources.interface import Model
from vramcast.sources.packages import folder_of, import_installed
from vramcast.sources.torchvision_import import prepare_import
from vramcast.stored_weights import StoredWeights, read_weights

_ARCHITECTURE = "general.architecture"
_SEQUENCE = 512
"""Default length of a sequence, where the model can take as much."""


class Gguf:
    """A file that ends in `.gguf`."""

    name = "gguf"
    extra: str | None = "gguf"

    def names(self) -> Iterator[str]:
        """List nothing: all models are the user's files."""
        return iter(())

    def load(self, name: str) -> Model:
        """Read the header and find the architecture.

        Raises:
            InvalidFileError: the file cannot be read, or lacks settings of its architecture.
            UnknownNameError: transformers does not know the architecture.
            MissingExtraError: transformers or gguf is not installed.
        """
        folder_of("transformers")
        stored = read_weights(Path(name).expanduser())
        architecture = str(stored.settings.get(_ARCHITECTURE, ""))
        config = _config(name, architecture, stored)
        module_class = _transformers().MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
        longest = getattr(config, "max_position_embeddings", None)
        return Model(
            name=stored.name,
            source=self.name,
            task="causal-lm",
            build=lambda _classes: module_class(config),
            sequence=min(_SEQUENCE, longest or _SEQUENCE),
            max_sequence=longest,
            window=getattr(config, "sliding_window", None),
            packed=_packed(architecture, int(getattr(config, "num_hidden_layers", 0)), stored),
        )


def _config(name: str, architecture: str, stored: StoredWeights) -> Any:
    from transformers.integrations.ggml import GGUF_CONFIG_DEFAULTS_MAPPING, GGUF_CONFIG_MAPPING

    transformers = _transformers()
    known = sorted(key for key in GGUF_CONFIG_MAPPING if key in transformers.models.auto.modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    if architecture not in known:
        raise UnknownNameError("GGUF architecture", architecture, known, hint=f"{name} can be forecast for its weights alone.")
    given = {key.removeprefix(f"{architecture}."): value for key, value in stored.settings.items()}
    fields = {field: given[key] for key, field in GGUF_CONFIG_MAPPING[architecture].items() if field and key in given}
    fields |= {"vocab_size": _vocabulary(stored), "tie_word_embeddings": all(tensor.name != "output.weight" for tensor in stored.tensors)}
    if isinstance(fields.get("num_key_value_heads"), bool) or fields.get("num_hidden_layers") is None or fields.get("hidden_size") is None:
        raise InvalidFileError(f"{name} says too little of itself: block_count and embedding_length of {architecture!r} are needed.")
    try:
        return transformers.AutoConfig.for_model(architecture, **(dict(GGUF_CONFIG_DEFAULTS_MAPPING.get(architecture) or {}) | fields))
    except Exception as error:
        raise InvalidFileError(f"{name} does not describe a valid {architecture}: {' '.join(str(error).split())}") from error


def _vocabulary(stored: StoredWeights) -> int:
    """Return the rows of the token embeddings."""
    found = next((tensor for tensor in stored.tensors if tensor.name == "token_embd.weight"), None)
    if found is None:
        raise InvalidFileError(f"{stored.name} holds no token embeddings (token_embd.weight); it is not a whole language model.")
    return found.shape[0]


def _packed(architecture: str, layers: int, stored: StoredWeights) -> Mapping[str, str]:
    """Return how the file packs each matrix, by the module's name in transformers."""
    try:
        import gguf
    except ImportError:
        raise MissingExtraError("gguf", "gguf", "reading GGUF files") from None
    number = next((key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture), None)
    if number is None:
        raise UnknownNameError("GGUF architecture", architecture, gguf.MODEL_ARCH_NAMES.values())
    names = gguf.get_tensor_name_map(number, layers)
    kinds = {tensor.name.removesuffix(".weight"): tensor.kind for tensor in stored.tensors}
    return {module: kinds[short] for module, (_, short) in names.mapping.items() if short in kinds}


def _transformers() -> Any:
    prepare_import()
    return import_installed("transformers")
