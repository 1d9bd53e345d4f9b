"""How many objects a training image has after mosaic and mixup: a distribution, exact but for a grid of crops.

Mosaic lays four images around a point of a canvas of twice the side, then cuts a window of one side out of the canvas, scaled and shifted
(ultralytics 8.4.190, data/augment.py `Mosaic`, `RandomPerspective`; cfg/default.yaml: scale 0.5, translate 0.1). At scale 0.5 the window holds
all four images whole; over all scales it holds a third of the canvas. Assumed:

- the three other images are any of the data set (`Mosaic.get_indexes` draws them from those loaded last, which were shuffled);
- images are square, and objects are spread evenly over them: a window keeps as many as its share of the image;
- no object is too small or too much cut to be kept (`box_candidates` drops some: fewer are trained on).

Mixup (`MixUp`) puts the objects of two such images together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vramcast.trace import Column

SCALE, TRANSLATE = 0.5, 0.1
"""ultralytics 8.4.190, cfg/default.yaml: `scale`, `translate`."""
TILES = 4
CROPS = 512
"""Windows over which the distribution is averaged."""
_MOST_BINS = 2**14
"""Counts are told apart up to this many values; beyond, by steps, rounded up."""
_NOISE = 1e-13
"""Chances below this are rounding errors of the Fourier transform."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Mixed:
    """The objects of one training image, as chances."""

    at_least: Floats
    """Entry k: the chance that an image has at least k steps of objects; entry 0 is 1."""
    step: int
    """Objects per step; 1 but for counts beyond 2,000."""

    def chance(self, objects: int, draws: int) -> float:
        """Return the chance that any of so many images has at least so many objects."""
        index = -(-objects // self.step)
        if index >= len(self.at_least):
            return 0.0
        return float(-np.expm1(draws * np.log1p(-min(float(self.at_least[index]), 1 - 1e-16))))

    def expected_largest(self, draws: int) -> float:
        """Return the expectation of the largest number among so many images."""
        missed = np.exp(draws * np.log1p(-np.minimum(self.at_least[1:], 1 - 1e-16)))
        return float(self.step * (1 - missed).sum())

    def met_with(self, chance: float, draws: int) -> int:
        """Return the largest number of objects that so many images reach with at least this chance."""
        reached = -np.expm1(draws * np.log1p(-np.minimum(self.at_least, 1 - 1e-16)))
        return int(np.flatnonzero(reached >= chance).max(initial=0)) * self.step


def mixed(objects: Column, mosaic: float, mixup: float) -> Mixed:
    """Return the distribution of objects per training image, given those per image of the data set and the chances of both augmentations."""
    most = int(objects.max(initial=0))
    step = max(1, -(-2 * TILES * most // _MOST_BINS))
    counts = -(-objects // step)
    values, times = np.unique(counts, return_counts=True)
    shares = times / max(len(objects), 1)
    size = 1 << (2 * TILES * int(values.max(initial=0)) + 1).bit_length()  # powers of two transform fast
    single = np.bincount(values, weights=shares, minlength=size)
    image = np.fft.rfft((1 - mosaic) * single) + (mosaic * _mosaic(values, shares, size) if mosaic else 0)
    image = (1 - mixup) * image + mixup * image * image
    chances = np.fft.irfft(image, size)
    at_least = np.cumsum(chances[::-1])[::-1].copy()
    at_least[at_least < _NOISE] = 0
    at_least[0] = 1
    return Mixed(at_least=np.minimum(at_least, 1), step=step)


def _mosaic(values: Column, shares: Floats, size: int) -> NDArray[np.complex128]:
    """Return the Fourier transform of the distribution of objects in a mosaic, averaged over the windows.

    Sums of independent counts are products of transforms.
    """
    total = np.zeros(size // 2 + 1, np.complex128)
    for tiles in kept_shares(CROPS):
        product = np.ones(size // 2 + 1, np.complex128)
        for kept in tiles:
            product *= np.fft.rfft(np.bincount(np.rint(values * kept).astype(np.int64), weights=shares, minlength=size))
        total += product
    return total / CROPS


def kept_shares(count: int) -> Floats:
    """Return, for so many windows spread evenly over all, the share of each of the four images that is seen.

    In units of the image's side: the point lies in [0.5, 1.5] both ways, the window is 1 / scale wide.
    """
    spread = _spread(count)
    scale = 1 - SCALE + 2 * SCALE * spread[:, 0]
    across, down = (_seen_along(0.5 + spread[:, 1 + way], 0.5 - TRANSLATE + 2 * TRANSLATE * spread[:, 3 + way], scale) for way in (0, 1))
    return np.stack([across[side] * down[end] for end in (0, 1) for side in (0, 1)], axis=1)


def _seen_along(point: Floats, shift: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """Return how much of the image before the point and of the one behind it lies within canvas and window, along one side."""
    start, end = 1 - shift / scale, 1 + (1 - shift) / scale
    before = np.minimum(point, end) - np.maximum(np.maximum(point - 1, 0), start)
    behind = np.minimum(np.minimum(point + 1, 2), end) - np.maximum(point, start)
    return np.clip(before, 0, 1), np.clip(behind, 0, 1)


def _spread(count: int) -> Floats:
    """Return points that fill the unit cube of five dimensions evenly: an additive recurrence on powers of the generalized golden ratio."""
    ratio = 1.0
    for _ in range(64):
        ratio = (1 + ratio) ** (1 / 6)  # the root of x**6 = x + 1
    return np.asarray((0.5 + np.arange(1, count + 1)[:, None] * ratio ** -np.arange(1.0, 6.0)) % 1)
