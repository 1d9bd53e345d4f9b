"""Drawn objects: where they lie and how large they are.

Distribution, seeded: box sides are log-uniform between 2 % and 50 % of the image's, centres uniform where the box still fits.
Every image of a batch holds the same drawn objects, so that memory grows with the batch exactly as the shapes do.
"""

from __future__ import annotations

import torch

SMALLEST, LARGEST = 0.02, 0.5
"""Sides of a box as shares of the image's sides."""

STATEMENT = (
    "Objects were drawn (seeded): {count} per image, box sides log-uniform from 2 % to 50 % of the image's; so were predictions, where losses and "
    "post-processing look at them; both are the same in every image."
)
PREDICTIONS_STATEMENT = "Predictions were drawn (seeded) where post-processing looks at them, the same in every image."


def boxes_xywh(count: int, generator: torch.Generator) -> torch.Tensor:
    """Return `count` boxes as centre, width and height, relative to the image: count x 4 on the CPU."""
    low, high = torch.tensor(SMALLEST).log(), torch.tensor(LARGEST).log()
    shares = torch.rand(count, 4, generator=generator)  # row by row: the first objects are the same however many there are
    sides = (low + (high - low) * shares[:, :2]).exp()
    centres = sides / 2 + (1 - sides) * shares[:, 2:]
    return torch.cat((centres, sides), 1)


def boxes_xyxy(count: int, image: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """Return `count` boxes as corners in pixels: count x 4 on the CPU."""
    relative = boxes_xywh(count, generator)
    scale = torch.tensor([image[1], image[0]], dtype=torch.float32)
    half = relative[:, 2:] / 2
    return torch.cat(((relative[:, :2] - half) * scale, (relative[:, :2] + half) * scale), 1)
