"""timm's models, with or without a pretrained tag (`resnet50`, `vit_base_patch16_clip_224.openai`): the tag decides image size and classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from vramcast.errors import UnknownNameError
from vramcast.sources.dynamo import dynamo_postponed
from vramcast.sources.interface import Model
from vramcast.sources.packages import EXTRA, folder_of, import_installed, registered_models
from vramcast.sources.torchvision_import import prepare_import

if TYPE_CHECKING:
    from torch import nn


class Timm:
    """The models of timm, by the names of `timm.list_models`."""

    name = "timm"
    extra: str | None = EXTRA

    def names(self) -> Iterator[str]:
        """List the models, without tags and without importing timm. Raises `MissingExtraError`."""
        return iter(registered_models(folder_of("timm") / "models"))

    def load(self, name: str) -> Model:
        """Find one model. Raises `UnknownNameError` (also for an unknown tag), `MissingExtraError`."""
        architecture, _, tag = name.partition(".")
        known = tuple(self.names())
        if architecture not in known:
            raise UnknownNameError("timm model", architecture, known)
        registry = _import_timm().models
        tagged = {full.partition(".")[2]: settings for full, settings in registry.get_arch_pretrained_cfgs(architecture).items()}
        if tag and tag not in tagged:
            raise UnknownNameError(f"pretrained tag of timm's {architecture}", tag, tagged)
        return _model(self.name, name, tagged[tag] if tag else registry.get_pretrained_cfg(architecture))


def _model(source: str, name: str, settings: Any) -> Model:
    """Describe a model by its pretrained settings (timm/models/_pretrained.py, `PretrainedCfg`, 1.0); None where it has none."""
    channels, height, width = settings.input_size if settings else (3, 224, 224)
    classes = settings.num_classes if settings else 1000
    return Model(
        name=name,
        source=source,
        task="classify" if classes else "encode",
        build=lambda asked: _build(name, asked),
        image=(height, width),
        channels=channels,
        fixed_image=bool(settings and settings.fixed_input_size),
        classes=classes or None,
    )


def _build(name: str, classes: int | None) -> nn.Module:
    options = {} if classes is None else {"num_classes": classes}
    module: nn.Module = _import_timm().create_model(name, pretrained=False, **options)
    return module


def _import_timm() -> Any:
    """Import timm once: its `@torch.compiler.disable` at import (timm/models/naflexvit.py, 1.0) must not bring dynamo in."""
    prepare_import()
    with dynamo_postponed():
        return import_installed("timm")
