"""What every origin of models gives: names, and a `Model` that can be built on any device.

A source is one file in this folder and one line in `registry.py`. It imports its package (and torch) only inside
`names()` and `load()`, never at import, so that a missing extra is an error of that source alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import nn

    from vramcast.operator_graph import GraphSizes, OperatorGraph


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that is known but not built. `build` needs no network and no weights."""

    name: str
    """The name within its source: `resnet50`."""
    source: str
    """The source's name: `torchvision`."""
    task: str
    """What it is trained for, which decides its inputs, targets and loss: one of `TASKS`."""
    build: Callable[[int | None], nn.Module]
    """Make the module on the default device, given the number of classes (None: the model's own)."""
    image: tuple[int, int] | None = None
    """Height and width it is made for; None where it takes no images."""
    channels: int = 3
    stride: int = 1
    """Image sides must be multiples of this."""
    fixed_image: bool = False
    """The image size cannot differ from `image` (absolute position embeddings)."""
    sequence: int | None = None
    """Default sequence length of a language model."""
    max_sequence: int | None = None
    """Longest sequence it can take."""
    window: int | None = None
    """Positions that some layer's attention looks back on at most (sliding window)."""
    classes: int | None = None
    """Number of classes it has by default."""
    weights: str | None = None
    """How its checkpoint packs linear layers, as `Workload.weights` names it; None: not at all."""
    packed: Mapping[str, str] = field(default_factory=dict)
    """How its file packs single matrices: module -> GGUF type."""
    read_graph: Callable[[GraphSizes], OperatorGraph] | None = None
    """For a model that is a file of operators rather than a module: read it at these sizes. `build` raises then."""


TASKS = {
    "classify": "image -> logits; cross-entropy",
    "classify-aux": "image -> logits and auxiliary logits; weighted cross-entropy",
    "semantic-segment": "image -> {'out': …}; dense cross-entropy",
    "detect": "torchvision's detection models: list of images, list of targets -> their own losses",
    "instance-segment": "as detect, with masks",
    "keypoints": "as detect, with keypoints",
    "yolo-detect": "ultralytics, boxes",
    "yolo-segment": "ultralytics, boxes and masks",
    "yolo-pose": "ultralytics, boxes and keypoints",
    "yolo-obb": "ultralytics, oriented boxes",
    "yolo-classify": "ultralytics, classification",
    "video-classify": "clip -> logits; cross-entropy",
    "causal-lm": "token ids -> logits; next-token loss",
    "masked-lm": "token ids -> logits; masked-token loss",
    "seq2seq-lm": "token ids -> logits of a decoder; next-token loss",
    "encode": "token ids or images -> hidden states; the mean as loss",
    "generic": "a user's module: inputs as given, the mean of its outputs as loss unless one is given",
}


TASKS_WITH_OBJECTS = frozenset({"detect", "instance-segment", "keypoints", "yolo-detect", "yolo-segment", "yolo-pose", "yolo-obb"})
"""Tasks whose targets are objects in images: losses and post-processing look at values, and go through images one by one."""

DEFAULT_TARGETS = 10
"""Objects per image where the workload does not say."""


class Source(Protocol):
    """One origin of models."""

    name: str
    """The prefix in front of the colon."""
    extra: str | None
    """The extra that installs its package; None when nothing is needed."""

    def names(self) -> Iterator[str]:
        """List every model of the source. Raises `MissingExtraError` when its package is absent."""

    def load(self, name: str) -> Model:
        """Find one model.

        Raises:
            UnknownNameError: the source has none of this name.
            MissingExtraError: its package is absent.
            InvalidFileError: the name is a file that cannot be read or imported.
        """
