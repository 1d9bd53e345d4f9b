"""Models of the transformers library, from a local folder with a `config.json`, or one of a few configurations that come along.

Nothing is looked up in a network, and no weights are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vramcast.errors import InvalidFileError, UnknownNameError
from vramcast.sources.checkpoint_format import weights_of
from vramcast.sources.interface import Model
from vramcast.sources.packages import EXTRA, folder_of, import_installed
from vramcast.sources.torchvision_import import prepare_import

if TYPE_CHECKING:
    from torch import nn

CONFIG = "config.json"
_BUNDLED = Path(__file__).parent / "configurations"
"""Public numbers of well-known architectures, each file with where they were read. They are small, and the library takes files only."""

_TASKS = (
    ("ForCausalLM", "causal-lm"),
    ("LMHeadModel", "causal-lm"),
    ("ForMaskedLM", "masked-lm"),
    ("ForSequenceClassification", "classify"),
    ("ForImageClassification", "classify"),
    ("ForConditionalGeneration", "seq2seq-lm"),
    ("Model", "encode"),
)
"""By the end of the architecture's name (transformers/models/auto/modeling_auto.py, 5.23); any other head is generic."""

_IMAGE_SIDE = 224
"""Of an image model whose configuration names no size (ResNet, RegNet)."""
_SEQUENCE = 512
"""Default length of a sequence, where the model can take as much."""
_MAX_SEQUENCE = ("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len")
"""What configurations call the longest sequence (transformers/models/*/configuration_*.py, 5.23)."""


class Transformers:
    """Any folder with a `config.json`, as `save_pretrained` writes it; and the configurations that come along, by name."""

    name = "transformers"
    extra: str | None = EXTRA

    def names(self) -> Iterator[str]:
        """List the configurations that come along; all others are the user's folders. Raises `MissingExtraError`."""
        folder_of("transformers")
        return iter(_bundled())

    def load(self, name: str) -> Model:
        """Read the configuration of a folder, of a `config.json` itself, or one that comes along.

        Raises:
            InvalidFileError: no such file, not a configuration, or one whose model is code of its own.
            UnknownNameError: no configuration of that name comes along, or transformers knows no such model type or architecture.
            MissingExtraError: transformers is not installed.
        """
        folder_of("transformers")
        path = _path(name)
        settings = _read(path)
        config = _config(path, settings)
        return _model(self.name, name, config, _module_class(path, settings, config), weights_of(path, settings))


def _bundled() -> list[str]:
    return sorted(path.stem for path in _BUNDLED.glob("*.json"))


def _path(name: str) -> Path:
    path = Path(name)
    if path.is_dir():
        return path / CONFIG
    if path.exists() or len(path.parts) > 1:
        return path
    if name not in _bundled():
        raise UnknownNameError("transformers model", name, _bundled(), hint=f"Any other is a folder that holds a {CONFIG}.")
    return _BUNDLED / f"{name}.json"


def _read(path: Path) -> Mapping[str, Any]:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidFileError(f"there is no file {path}; name a folder that holds a {CONFIG}.") from None
    except (OSError, ValueError) as error:
        raise InvalidFileError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(settings, dict) or not isinstance(settings.get("model_type"), str):
        raise InvalidFileError(f"{path} is not a transformers configuration: it names no model_type.")
    if "auto_map" in settings:
        raise InvalidFileError(
            f"{path} asks for code of its own ({', '.join(sorted(settings['auto_map']))}), which is not run. "
            "Build the model in a Python file and name that: path/to/file.py:build."
        )
    return settings


def _config(path: Path, settings: Mapping[str, Any]) -> Any:
    transformers = _import_transformers()
    known = transformers.models.auto.configuration_auto.CONFIG_MAPPING_NAMES
    if settings["model_type"] not in known:
        raise UnknownNameError("transformers model type", settings["model_type"], known)
    try:
        return transformers.AutoConfig.from_pretrained(str(path), local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise InvalidFileError(f"{path} is not a valid configuration of {settings['model_type']}: {' '.join(str(error).split())}") from error


def _module_class(path: Path, settings: Mapping[str, Any], config: Any) -> Any:
    """Return the class the configuration was saved from; where it does not say, the model type's base class."""
    transformers = _import_transformers()
    architectures = settings.get("architectures")
    if not architectures:
        return transformers.MODEL_MAPPING[type(config)]
    if not hasattr(transformers, str(architectures[0])):
        raise InvalidFileError(
            f"{path} names the architecture {architectures[0]!r}, which the installed transformers does not have. Install a version that has it."
        )
    return getattr(transformers, architectures[0])


def _model(source: str, name: str, config: Any, module_class: Any, weights: str | None) -> Model:
    takes = _input(module_class)
    task = _task(module_class.__name__, config) if takes in ("input_ids", "pixel_values") else "generic"
    longest = next((value for key in _MAX_SEQUENCE if isinstance(value := getattr(config, key, None), int) and value > 0), None)
    image = _image(config) if takes == "pixel_values" else None
    return Model(
        name=name,
        source=source,
        task=task,
        build=lambda classes: _build(module_class, config, classes),
        image=image,
        channels=getattr(config, "num_channels", 3) if image else 3,
        fixed_image=image is not None and _has_position_embeddings(config),
        sequence=min(_SEQUENCE, longest or _SEQUENCE) if takes == "input_ids" else None,
        max_sequence=longest if takes == "input_ids" else None,
        window=getattr(config, "sliding_window", None) if takes == "input_ids" else None,
        classes=config.num_labels if task == "classify" else None,
        weights=weights,
    )


def _input(module_class: Any) -> str | None:
    """Return the one input the model takes; None where it takes several kinds, such as image and text.

    A text model says so of its family (Gemma3ForCausalLM, 5.23), so what its call takes counts.
    """
    several = len(getattr(module_class, "input_modalities", ())) > 1 and not isinstance(module_class.input_modalities, str)
    only_text = str(module_class.main_input_name) == "input_ids" and "pixel_values" not in signature(module_class.forward).parameters
    return None if several and not only_text else str(module_class.main_input_name)


def _task(architecture: str, config: Any) -> str:
    task = next((task for ending, task in _TASKS if architecture.endswith(ending)), "generic")
    if task == "seq2seq-lm" and not getattr(config, "is_encoder_decoder", False):
        return "generic"
    return task


def _image(config: Any) -> tuple[int, int]:
    side = getattr(config, "image_size", None) or _IMAGE_SIDE
    return (side, side) if isinstance(side, int) else (side[0], side[1])


def _has_position_embeddings(config: Any) -> bool:
    """Whether the image size is part of the parameters: a plain vision transformer, with one number of heads for all its layers."""
    return bool(getattr(config, "image_size", None)) and isinstance(getattr(config, "num_attention_heads", None), int)


def _build(module_class: Any, config: Any, classes: int | None) -> nn.Module:
    """Build in the default dtype: the configuration's own would take the place of the workload's precision."""
    own = deepcopy(config)
    if hasattr(own, "quantization_config"):  # packed by vramcast; the library would want kernels
        del own.quantization_config
    if classes is not None:
        own.num_labels = classes
    module: nn.Module = module_class(own)
    return module


def _import_transformers() -> Any:
    prepare_import()
    return import_installed("transformers")
