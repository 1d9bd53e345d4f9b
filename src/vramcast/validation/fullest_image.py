"""How many objects the fullest image of a logged run had: what its loss padded all images to, once.

A log prints the objects of the last batch of each epoch. What sets the memory of a run is its fullest image, which no log names. Objects of one
photograph are taken to be spread exponentially, so that a mosaic of four has a Gamma distribution of shape 4, and a batch of b mosaics one of
shape 4 b. The largest printed batch is the largest of as many as epochs were logged, and says how many objects a mosaic has on average; the
fullest image is the largest of all images of all epochs. The largest of n draws is put at the quantile n / (n + 1).

Quantiles are Wilson and Hilferty's (The distribution of chi-square, PNAS 17, 1931): within 2 % of the exact ones at shape 4.
"""

from __future__ import annotations

import math
from statistics import NormalDist

SHAPE = 4
"""Photographs of a mosaic (ultralytics, data/augment.py, `Mosaic`)."""


def fullest_image(printed: int, images: int, epochs: int, data_set: int) -> int:
    """Return the objects of the fullest image of a run; at least 1.

    Args:
        printed: objects of the fullest batch that was printed.
        images: images of that batch.
        epochs: epochs that were logged.
        data_set: images of the data set.
    """
    mean_of_image = printed / largest(SHAPE * images, epochs)
    return max(1, round(mean_of_image * largest(SHAPE, data_set * epochs)))


def largest(shape: float, draws: int) -> float:
    """Return where the largest of some draws from a Gamma distribution of scale 1 lies."""
    deviation = NormalDist().inv_cdf(draws / (draws + 1))
    return float(shape * (1 - 1 / (9 * shape) + deviation / (3 * math.sqrt(shape))) ** 3)
