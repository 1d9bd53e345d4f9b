"""The order in which layers run: breadth first. A layer is queued when the last of its inputs is there.

As the lists of layers that builders print are ordered (logs: YOLO11n, TensorRT 8.2.0, whose three heads take turns).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from vramcast.backends.tensorrt.layers import Layer, producers, readers


def in_order(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Return the layers in the order in which they run."""
    made, read = producers(layers), readers(layers)
    waits = {id(layer): len({id(made[name]) for name in layer.inputs if name in made}) for layer in layers}
    queue = deque(layer for layer in layers if not waits[id(layer)])
    ordered = []
    while queue:
        layer = queue.popleft()
        ordered.append(layer)
        for reader in {id(reader): reader for name in layer.outputs for reader in read.get(name, ())}.values():
            waits[id(reader)] -= 1
            if not waits[id(reader)]:
                queue.append(reader)
    return tuple(ordered)
