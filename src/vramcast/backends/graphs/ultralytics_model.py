"""An ultralytics model as `yolo export format=onnx` gets it ready (ultralytics 8.4, `Exporter.__call__` in engine/exporter.py)."""

from __future__ import annotations

from typing import Any

from torch import nn

from vramcast.sources.building import on_meta

_MAX_DETECTIONS = 300
"""`max_det` of cfg/default.yaml, ultralytics 8.4."""


def prepare_for_export(module: nn.Module, image: tuple[int, int]) -> None:
    """Fold batch normalisation into convolutions and let the head return decoded predictions alone, in place.

    Heads with a branch of their own for predictions without NMS do without it, as the exporter has it by default (`nms=None`).
    """
    from ultralytics.nn.modules import C2f, Classify, Detect, RTDETRDecoder

    model: Any = module
    if hasattr(model, "end2end"):
        model.end2end = False
    if hasattr(model, "fuse"):
        with on_meta():  # where the kernels of reparameterised convolutions are put together
            model.fuse(verbose=False)
    for part in map(_any, model.modules()):
        if isinstance(part, (Detect, RTDETRDecoder)):
            part.dynamic, part.export, part.format, part.xyxy, part.shape = False, True, "onnx", False, None
            part.max_det = min(_MAX_DETECTIONS, _predictions(part, model, image))
        elif isinstance(part, Classify) or type(part).__name__ in ("SemanticSegment", "Depth"):
            part.export, part.format = True, "onnx"
        elif isinstance(part, C2f):
            part.forward = part.forward_split


def _predictions(head: Any, model: Any, image: tuple[int, int]) -> int:
    """Return how many boxes a head can give: its queries, or its anchors."""
    if hasattr(head, "num_queries"):
        return int(head.num_queries)
    return sum(int(image[0] / stride) * int(image[1] / stride) for stride in model.stride.tolist())


def _any(part: nn.Module) -> Any:
    return part
