"""The worst batch: mixing against closed forms, chance and ultralytics' own augmentation; fields that are set and those that are not."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_sets import boxes, yolo

import vramcast
from vramcast import Workload, read_data
from vramcast.data.interface import DataSet
from vramcast.data.mixing import kept_shares, mixed
from vramcast.data.worst_batch import with_data
from vramcast.sources.interface import Model

TRAINING = Workload.train(batch=16, preset="ultralytics", image=640)


def model(task: str, **fields: Any) -> Model:
    return Model(name="made", source="test", task=task, build=lambda _: None, **fields)  # type: ignore[arg-type,return-value]


def data_set(objects: list[int] | None = None, **fields: Any) -> DataSet:
    count = len(objects) if objects is not None else len(next(column for column in fields.values() if isinstance(column, np.ndarray)))
    names = tuple(f"{index}.jpg" for index in range(count))
    return DataSet(source="made", kind="yolo", names=names, objects=None if objects is None else np.array(objects), **fields)


def test_without_mixing_it_is_the_distribution_of_the_data() -> None:
    found = mixed(np.array([0, 1, 1, 5]), 0, 0)
    np.testing.assert_allclose(found.at_least[:7], [1, 0.75, 0.25, 0.25, 0.25, 0.25, 0], atol=1e-12)
    assert found.chance(5, draws=3) == pytest.approx(1 - 0.75**3)
    assert found.expected_largest(1) == pytest.approx(7 / 4)
    assert found.expected_largest(10**6) == pytest.approx(5)


def test_mixup_is_the_sum_of_two() -> None:
    found = mixed(np.array([0, 0, 0, 4]), 0, 0.5)
    assert found.chance(8, draws=1) == pytest.approx(0.5 / 16)
    assert found.chance(4, draws=1) == pytest.approx(0.5 / 4 + 0.5 * 7 / 16)


@pytest.mark.parametrize(("mosaic", "mixup"), [(1.0, 0.0), (0.5, 0.0), (1.0, 0.3), (0.7, 1.0)])
def test_mixing_agrees_with_drawing(mosaic: float, mixup: float) -> None:
    objects = np.random.default_rng(3).geometric(0.05, 500) - 1
    found, draw = mixed(objects, mosaic, mixup), np.random.default_rng(4)
    shares = kept_shares(512)

    def images(count: int) -> np.ndarray:
        tiles = np.rint(objects[draw.integers(0, 500, (count, 4))] * shares[draw.integers(0, 512, count)]).sum(axis=1)
        return np.where(draw.random(count) < mosaic, tiles, objects[draw.integers(0, 500, count)])

    drawn = images(200_000) + np.where(draw.random(200_000) < mixup, images(200_000), 0)
    for count in (1, 10, 40, 80, 120):
        assert found.chance(count, 1) == pytest.approx((drawn >= count).mean(), abs=0.004)
    largest = drawn.reshape(-1, 100).max(axis=1)
    assert found.expected_largest(100) == pytest.approx(largest.mean(), rel=0.01)


def test_a_mosaic_keeps_what_ultralytics_keeps() -> None:
    """Against `Mosaic` and `RandomPerspective` themselves, on images covered evenly with small boxes."""
    pytest.importorskip("ultralytics")
    from ultralytics.data.augment import Mosaic, RandomPerspective
    from ultralytics.utils.instance import Instances

    random.seed(1)
    side, grid = 160, 16
    middles = (np.stack(np.meshgrid(np.arange(grid), np.arange(grid)), -1).reshape(-1, 2) + 0.5) / grid
    covered = np.concatenate([middles, np.full_like(middles, 5 / side)], axis=1).astype(np.float32)

    class Images:
        cache, buffer, data = "ram", (), {}

        def __len__(self) -> int:
            return 1

        def get_image_and_label(self, _index: int = 0) -> dict[str, Any]:
            instances = Instances(covered.copy(), np.zeros((0, 1000, 2), np.float32), bbox_format="xywh", normalized=True)
            picture = np.zeros((side, side, 3), np.uint8)
            return {"img": picture, "cls": np.zeros((len(covered), 1)), "instances": instances, "resized_shape": (side, side),
                    "im_file": "", "ori_shape": (side, side)}  # fmt: skip

    mosaic, crop = Mosaic(Images(), imgsz=side, p=1.0), RandomPerspective(degrees=0, translate=0.1, scale=0.5, size=(side, side))
    theirs = np.array([len(crop(mosaic(Images().get_image_and_label()))["cls"]) for _ in range(1500)]) / len(covered)
    ours = kept_shares(4096).sum(axis=1)
    assert ours.mean() == pytest.approx(theirs.mean(), rel=0.04)
    for share in (0.1, 0.5, 0.9, 0.99):
        assert np.quantile(ours, share) == pytest.approx(np.quantile(theirs, share), abs=0.15)
    assert ours.max() <= 4


def test_absurd_counts_are_bounded_and_rounded_up() -> None:
    found = mixed(np.array([3, 10**12]), 1.0, 1.0)
    assert len(found.at_least) < 2**17
    assert found.expected_largest(10**6) >= 10**12


def test_every_epoch_meets_the_fullest_image_where_nothing_is_mixed() -> None:
    workload, told = with_data(data_set([3, 90, 7, 0]), Workload.train(batch=2, image=640), model("yolo-detect", image=(640, 640)))
    assert workload.targets == 90
    assert (told.sets, told.chance_per_epoch, told.mosaic, told.objects_at_most) == ({"targets": 90}, 1.0, 0.0, 90)
    assert [(sample.name, sample.size) for sample in told.largest] == [("1.jpg", 90), ("2.jpg", 7), ("0.jpg", 3)]
    assert (told.objects.median, told.objects.percentile_99, told.objects.largest) == (7, 90, 90)


def test_the_preset_has_mosaic_and_its_batch_is_met_by_an_epoch_in_a_hundred() -> None:
    objects = [10] * 900 + [100] * 100
    workload, told = with_data(data_set(objects), TRAINING, model("yolo-detect", image=(640, 640)))
    assert told.mosaic == 1.0
    assert 10 < told.objects_per_batch < 100 < told.objects_per_epoch < workload.targets <= told.objects_at_most == 400
    assert 0.01 <= told.chance_per_epoch < 1
    assert mixed(np.array(objects), 1.0, 0).chance(workload.targets + 1, 1000) < 0.01
    without, told = with_data(data_set(objects, mosaic=0.0), TRAINING, model("yolo-detect", image=(640, 640)))
    assert (without.targets, told.mosaic) == (100, 0.0)
    mixed_up, _ = with_data(data_set(objects, mixup=0.5), TRAINING, model("yolo-detect", image=(640, 640)))
    assert mixed_up.targets > workload.targets


def test_what_the_user_gives_stays() -> None:
    workload, told = with_data(data_set([3, 90]), TRAINING.with_fields(targets=5), model("yolo-detect", image=(640, 640)))
    assert (workload.targets, told.sets, told.chance_per_epoch) == (5, {}, None)


@pytest.mark.parametrize("asked", [Workload.infer(batch=2), Workload.train(batch=2, loss="a.py:loss")])
def test_targets_play_no_role_without_the_models_own_loss(asked: Workload) -> None:
    workload, told = with_data(data_set([3, 90]), asked, model("yolo-detect", image=(640, 640)))
    assert (workload, told.sets) == (asked, {})
    assert "play no role" in told.notes[0]


def test_the_image_that_becomes_largest_is_not_the_one_with_most_pixels() -> None:
    """torchvision scales the shorter side to 800, the longer to at most 1333: 2000x2000 becomes 800x800, 300x500 becomes 800x1333."""
    sizes = np.array([[2000, 2000], [300, 500], [100, 900], [0, 0]])
    workload, told = with_data(data_set(sizes=sizes), Workload.train(batch=1), model("detect", image=(800, 800)))
    assert workload.image == (300, 500)
    assert told.heights.largest == 2000
    other, told = with_data(data_set(sizes=sizes), Workload.train(batch=1), model("classify", image=(224, 224)))
    assert (other.image, told.sets) == (None, {})
    assert "resized to the model's own size" in told.notes[0]


def test_the_longest_sequence_cut_to_what_the_model_takes() -> None:
    lengths = np.array([5, 700, 90])
    free, told = with_data(data_set(lengths=lengths), Workload.train(batch=1), model("causal-lm"))
    assert (free.seq, told.chance_per_epoch, told.largest[0].size) == (700, 1.0, 700)
    cut, told = with_data(data_set(lengths=lengths), Workload.infer(new_tokens=12), model("causal-lm", max_sequence=512))
    assert cut.seq == 500
    assert "cut to 500" in told.notes[-1]


def test_a_forecast_is_that_of_the_worst_batch(tmp_path: Path) -> None:
    pytest.importorskip("ultralytics")
    asked = Workload.train(batch=2, image=64, steps=1)
    description = yolo(tmp_path, [boxes(3), boxes(300)])
    found = vramcast.estimate("ultralytics:yolov8n", asked, data=description)
    by_hand = vramcast.estimate("ultralytics:yolov8n", asked.with_fields(targets=300))
    assert found.peak == by_hand.peak
    assert found.peak.allocated_bytes > vramcast.estimate("ultralytics:yolov8n", asked).peak.allocated_bytes
    assert found.workload["targets"] == 300
    assert found.data.largest[0].name == "images/train/001.png"
    assert vramcast.estimate("ultralytics:yolov8n", asked, data=read_data(description)).data == found.data


def test_a_number_of_parameters_has_no_worst_batch(tmp_path: Path) -> None:
    with pytest.raises(vramcast.UsageError, match="no data set makes larger"):
        vramcast.estimate("params:1M", TRAINING, data=yolo(tmp_path, [boxes(1)]))
