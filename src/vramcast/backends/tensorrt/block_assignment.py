"""The plan of the activation memory: which tensors share memory one after another.

Builders write how many blocks they assigned to how many nodes, and that the total is the sum of the blocks (logs, TensorRT 4 to 7: "Block size ..."
for each and their sum; from 8.2 on "Algorithm ShiftNTopDown took ... to assign 8 blocks to 122 nodes requiring 17818624 bytes"). Totals are found
again by colouring: tensors from the largest to the smallest, among equals the last one made first, each into the first block whose tensors are all
gone before it is made, or made after it is gone. A block is as large as its first. Plans that shift tensors over one another need a quarter less
than builders report (their totals are the most bytes live at once); these ones come to within a tenth.
"""

from __future__ import annotations

from collections.abc import Iterable

from vramcast.backends.tensorrt.layers import Block, Span


def assign(spans: Iterable[Span]) -> tuple[Block, ...]:
    """Return the blocks, from the largest to the smallest."""
    blocks: list[list[Span]] = []
    for span in sorted(spans, key=lambda span: (-span.size, -span.born)):
        free = next((block for block in blocks if not any(span.overlaps(other) for other in block)), None)
        if free is None:
            blocks.append([span])
        else:
            free.append(span)
    return tuple(Block(block[0].size, tuple(block)) for block in blocks)


def live_bytes(spans: Iterable[Span]) -> int:
    """Return the most bytes that are needed at one step: no plan can be smaller."""
    changes: dict[int, int] = {}
    for span in spans:
        changes[span.born] = changes.get(span.born, 0) + span.size
        changes[span.died + 1] = changes.get(span.died + 1, 0) - span.size
    live = most = 0
    for step in sorted(changes):
        live += changes[step]
        most = max(most, live)
    return most
