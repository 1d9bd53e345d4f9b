"""torchvision's models: classification, detection, segmentation, video and optical flow; quantized ones run on the CPU only and are left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vramcast.errors import UnknownNameError
from vramcast.sources.interface import Model
from vramcast.sources.packages import EXTRA, folder_of, registered_models
from vramcast.sources.torchvision_import import import_torchvision

if TYPE_CHECKING:
    from torch import nn

_TASKS = {"detection": "detect", "segmentation": "semantic-segment", "video": "video-classify", "optical_flow": "generic"}
"""By the package below `torchvision.models` that defines the model; all else classifies."""
_OWN_TASKS = {
    "googlenet": "classify-aux",
    "inception_v3": "classify-aux",
    "maskrcnn_resnet50_fpn": "instance-segment",
    "maskrcnn_resnet50_fpn_v2": "instance-segment",
    "keypointrcnn_resnet50_fpn": "keypoints",
}
_WITHOUT_INITIALISING = ("googlenet", "inception_v3")
"""They warn, and draw through scipy, unless `init_weights` is given (torchvision/models/inception.py, 0.28)."""
_FIXED_IMAGE = ("vit_", "maxvit_", "mvit_")
"""Their constructors take the image size (torchvision/models/{vision_transformer,maxvit,video/mvit}.py, 0.28)."""
_VIT_IMAGE = (224, 224)
"""`image_size` where no weights are given (torchvision/models/vision_transformer.py, 0.28), whatever the default weights were trained on."""
_DETECTION_IMAGES = {
    "fasterrcnn_mobilenet_v3_large_320_fpn": (320, 640),
    "ssd300_vgg16": (300, 300),
    "ssdlite320_mobilenet_v3_large": (320, 320),
}
_DETECTION_IMAGE = (800, 1333)
"""`min_size` and `max_size`, to which the model itself resizes what it is given (torchvision/models/detection/faster_rcnn.py, 0.28)."""


class Torchvision:
    """The models of `torchvision.models`, by the names of `torchvision.models.list_models`."""

    name = "torchvision"
    extra: str | None = EXTRA

    def names(self) -> Iterator[str]:
        """List the models, without importing torchvision. Raises `MissingExtraError`."""
        return (name for name in registered_models(folder_of("torchvision") / "models") if not name.startswith("quantized_"))

    def load(self, name: str) -> Model:
        """Find one model. Raises `UnknownNameError`, `MissingExtraError`."""
        known = tuple(self.names())
        if name not in known:
            raise UnknownNameError("torchvision model", name, known)
        models = import_torchvision().models
        room = models.get_model_builder(name).__module__.split(".")[2]
        recipe = models.get_model_weights(name).DEFAULT
        return Model(
            name=name,
            source=self.name,
            task=_OWN_TASKS.get(name) or _TASKS.get(room, "classify"),
            build=lambda classes: _build(name, classes),
            image=_image(name, room, recipe),
            fixed_image=name.startswith(_FIXED_IMAGE),
            classes=len(recipe.meta["categories"]) if "categories" in recipe.meta else None,
        )


def _build(name: str, classes: int | None) -> nn.Module:
    """Build as `torchvision.models.get_model(name, weights=None)` does, but load and download nothing.

    A detector by default has a pretrained backbone, and so frozen batch norms and two frozen stages (`_validate_trainable_layers`,
    torchvision/models/detection/backbone_utils.py, 0.28): that is kept, as it decides what is stored for backward.
    """
    models = import_torchvision().models
    options: dict[str, Any] = {"weights": None}
    if name in _WITHOUT_INITIALISING:
        options["init_weights"] = False
    if classes is not None:
        options["num_classes"] = classes
    with _weights_not_loaded():
        module: nn.Module = models.get_model(name, **options)
    return module


class _NotLoaded(dict[str, Any]):
    """Stands for a state dict that would have to be downloaded."""


@contextmanager
def _weights_not_loaded() -> Iterator[None]:
    """Let a constructor ask for weights, and get a module that has none."""
    from torch import nn

    weights = import_torchvision().models.WeightsEnum
    get, load = weights.get_state_dict, nn.Module.load_state_dict

    def load_if_loaded(module: nn.Module, state: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        return None if isinstance(state, _NotLoaded) else load(module, state, *args, **kwargs)

    weights.get_state_dict = lambda *_args, **_kwargs: _NotLoaded()
    nn.Module.load_state_dict = load_if_loaded  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        weights.get_state_dict = get
        nn.Module.load_state_dict = load  # type: ignore[method-assign]


def _image(name: str, room: str, recipe: Any) -> tuple[int, int] | None:
    """Return the size that the default weights' own transform makes, or that the constructor is made for."""
    if room == "detection":
        return _DETECTION_IMAGES.get(name, _DETECTION_IMAGE)
    if name.startswith("vit_"):
        return _VIT_IMAGE
    settings = getattr(recipe.transforms, "keywords", {})
    side = settings.get("crop_size", settings.get("resize_size"))
    if side is None:
        return None
    return (side, side) if isinstance(side, int) else (side[0], side[1])
