"""Programs whose traces are families, small enough to be written down: what is run at a batch, as a list of actions."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from vramcast.trace import Component, Event, OperatorCall, Phase, Subject, TensorSpec, Trace


class Script:
    """Writes a trace, action by action."""

    def __init__(self) -> None:
        self.kinds: list[int] = []
        self.blocks: list[int] = []
        self.operations: list[int] = []
        self.sizes: list[int] = []
        self.operators: list[str] = []
        self.calls: dict[int, OperatorCall] = {}

    def run(self, operator: str, *shape: int) -> None:
        self.operators.append(operator)
        if shape:
            self.calls[len(self.operators) - 1] = OperatorCall(operator, (TensorSpec(shape, shape, "float32"), None), {"sizes": shape, "flag": True})

    def allocate(self, size: int) -> int:
        self.sizes.append(size)
        self._event(Event.ALLOCATE, len(self.sizes) - 1)
        return len(self.sizes) - 1

    def free(self, *blocks: int) -> None:
        for block in blocks:
            self._event(Event.FREE, block)

    def _event(self, kind: Event, block: int) -> None:
        self.kinds.append(kind)
        self.blocks.append(block)
        self.operations.append(len(self.operators) - 1)

    def trace(self) -> Trace:
        names = tuple(dict.fromkeys(self.operators))
        operations, blocks = np.zeros(len(self.operators), np.int64), np.zeros(len(self.sizes), np.int64)
        return Trace(
            subject=Subject("written", "test", 1, 1), kinds=np.array(self.kinds, np.int64), blocks=np.array(self.blocks, np.int64),
            operations=np.array(self.operations, np.int64), sizes=np.array(self.sizes, np.int64), components=blocks + Component.TEMPORARIES,
            streams=blocks, block_modules=blocks, operation_operators=np.array([names.index(name) for name in self.operators], np.int64),
            operation_modules=operations, operation_phases=operations, operators=names, modules=("",), phases=(Phase("forward", 0),),
            calls=self.calls,
        )  # fmt: skip


Order = Callable[[list[int]], Iterable[int]]
ORDERS: dict[str, Order] = {
    "forwards": lambda blocks: blocks,
    "backwards": lambda blocks: blocks[::-1],
    "last at the end, others backwards": lambda blocks: [*blocks[-2::-1], blocks[-1]],
}
"""How a list of blocks may be freed, one per image."""


def plain(batch: int, sizes: list[tuple[int, int]]) -> Trace:
    """Blocks of `a + b * batch` bytes, the first of them freed at the end."""
    script = Script()
    blocks = []
    for constant, per_image in sizes:
        script.run("mm", batch, constant)
        blocks.append(script.allocate(constant + per_image * batch))
    script.run("add")
    script.free(blocks[0])
    return script.trace()


def looped(batch: int, body: list[int], order: Order, rounds_per_image: int = 1) -> Trace:
    """A loop over images: each round makes temporaries, which the next one frees, and keeps one block, freed after the loop."""
    script = Script()
    script.run("empty")
    script.allocate(100 * batch)
    kept: list[int] = []
    temporaries: list[int] = []
    for _ in range(batch * rounds_per_image):
        made = []
        for index, size in enumerate(body):
            script.run(f"step{index % 3}", batch, size)
            made.append(script.allocate(size + batch))
        script.run("slice")
        script.free(*temporaries)
        temporaries = made
        kept.append(script.allocate(7))
    script.run("cat")
    script.allocate(7 * batch)
    script.free(*order(kept))
    script.free(*temporaries)
    script.run("sum")
    script.allocate(4)
    return script.trace()


def areal(point: tuple[int, ...], sizes: list[tuple[int, int, int]], border: int = 10**9, window: int = 1) -> Trace:
    """Feature maps of `a + b * pixels` bytes per image, padded ones, an attention matrix, and an operation more beyond a border.

    Height and width are padded to whole windows.
    """
    batch, height, width = point
    tall, wide = (-(-side // window) * window for side in (height, width))
    script = Script()
    blocks = []
    for constant, per_pixel, heads in sizes:
        script.run("convolution", batch, constant + 1, tall, wide)
        blocks.append(script.allocate(batch * (constant + per_pixel * tall * wide)))
        script.run("pad", batch, tall + 2, wide + 2)
        script.allocate(4 * batch * (tall + 2) * (wide + 2))
        if batch > border:
            script.run("split")
            script.allocate(8)
        script.run("bmm", batch, heads, tall * wide, tall * wide)
        blocks.append(script.allocate(2 * batch * heads * (tall * wide // 4 + 1) ** 2))
    script.run("sum")
    script.free(*blocks[::-1])
    return script.trace()
