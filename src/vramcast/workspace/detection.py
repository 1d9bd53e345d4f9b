"""torchvision's detection operators.

Source: torchvision/csrc/ops/cuda/nms_kernel.cu, torchvision 0.28: `nms` sorts the scores, gathers the boxes in that order and
holds one bit per pair of boxes. `roi_align` and its like need nothing beside their outputs.
"""

from __future__ import annotations

from vramcast.trace import OperatorCall
from vramcast.workspace.scratch import Scratch, Site
from vramcast.workspace.tensors import dense_bytes, given, item_bytes

_INT64 = 8
_BOXES_PER_WORD = 64


def nms(call: OperatorCall, site: Site) -> tuple[Scratch, ...]:
    """`torchvision::nms` of n boxes: sorted scores with their indices, sorted boxes, n * ceil(n / 64) words of 8 bytes."""
    boxes, scores = given(call, 0, 1)
    count = boxes.shape[0]
    if count == 0:
        return ()
    words = count * -(-count // _BOXES_PER_WORD)
    return Scratch(count * item_bytes(scores)), Scratch(count * _INT64), Scratch(dense_bytes(boxes)), Scratch(words * _INT64)
