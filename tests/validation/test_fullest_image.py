"""The fullest image of a run, told from printed batches: against drawn runs, and by its laws."""

from __future__ import annotations

import random
import statistics

import pytest

from vramcast.validation.fullest_image import SHAPE, fullest_image, largest


@pytest.mark.parametrize(("shape", "draws"), [(SHAPE, 1), (SHAPE, 1000), (16 * SHAPE, 100)])
def test_the_largest_of_many_draws(shape: int, draws: int) -> None:
    """Within 10 % of the median over 201 drawn runs."""
    source = random.Random(0)
    runs = [max(source.gammavariate(shape, 1) for _ in range(draws)) for _ in range(201)]
    assert largest(shape, draws) == pytest.approx(statistics.median(runs), rel=0.1)


def test_more_images_hold_a_fuller_one() -> None:
    assert fullest_image(printed=160, images=16, epochs=10, data_set=10_000) > fullest_image(printed=160, images=16, epochs=10, data_set=100)


def test_a_batch_of_one_says_more_of_the_fullest_than_the_mean_of_many() -> None:
    """Ten objects in the fullest single image printed, or ten on average in the fullest batch of sixteen."""
    assert fullest_image(printed=10, images=1, epochs=10, data_set=1000) < fullest_image(printed=160, images=16, epochs=10, data_set=1000)


def test_an_image_has_an_object() -> None:
    assert fullest_image(printed=1, images=16, epochs=1, data_set=1) == 1
