"""What an open dimension of an input is: told by its name, or by its place where the exporter gave it none.

Names are those that exporters and their documentation use: torch.onnx (`batch`, `s77`), optimum (`batch_size`, `sequence_length`, `height`), tf2onnx
(`unk__616`), ultralytics (`batch`, `height`, `width`).
"""

from __future__ import annotations

import re

BATCH, HEIGHT, WIDTH, SEQUENCE = "batch", "height", "width", "sequence"

_NAMES = {
    BATCH: "batch batch_size batchsize batch_dim nbatch num_batch n b bs",
    HEIGHT: "height h image_height img_height in_height input_height rows",
    WIDTH: "width w image_width img_width in_width input_width cols columns",
    SEQUENCE: "sequence seq seq_len seqlen sequence_length seq_length sequence_len encoder_sequence_length decoder_sequence_length length tokens "
    "num_tokens token_length t s",
}
_BY_NAME = {name: role for role, names in _NAMES.items() for name in names.split()}
_UNNAMED = re.compile(r"|s\d+|u\d+|unk__\d+|unknown.*|none|\?|-1|dim_?\d+|.*dynamic_axes_\d+|.*_dim_\d+|dyn.*", re.IGNORECASE)
"""Names that say nothing: an exporter counted, or left the name out."""
_CHANNELS = (1, 3, 4)


def role_of(symbol: str | None, index: int, sides: list[int | None]) -> str | None:
    """Return what dimension `index` of an input is; None where that cannot be told. `sides` has None for open dimensions."""
    named = _BY_NAME.get((symbol or "").casefold())
    if named is not None or not _UNNAMED.fullmatch(symbol or ""):
        return named
    if index == 0:
        return BATCH
    if len(sides) == 4:
        first = 1 if sides[3] in _CHANNELS and sides[1] not in _CHANNELS else 2
        return {first: HEIGHT, first + 1: WIDTH}.get(index)
    return SEQUENCE if len(sides) == 2 and index == 1 else None
