"""`vramcast study`: lines through many models, a study that is interrupted, and its page."""

from __future__ import annotations

import csv
import json
import random
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jsonschema
import msgspec
import numpy as np
import pytest

import vramcast
from vramcast.cli.main import main
from vramcast.errors import ForecastError, UnknownNameError, UsageError
from vramcast.schemas.documents import path_of
from vramcast.study.models import run
from vramcast.study.models.choice import chosen
from vramcast.study.models.findings import Study, factor, findings
from vramcast.study.models.fits import fit, spearman
from vramcast.study.models.forecast import Asked
from vramcast.study.models.row import Holder, ModeFigures, Row
from vramcast.study.models.run import rows, store_at
from vramcast.study.models.series import series_of

Pool = Iterator[tuple[Asked, Row]]
RESNETS = ("torchvision:resnet18", "torchvision:resnet34", "torchvision:resnet50")


def _row(number: int, parameters: int, size: int) -> Row:
    """A classifier whose every figure is `size`."""
    figures = ModeFigures(
        batch=32, allocated_bytes=size, reserved_bytes=size, device_bytes=size, low_bytes=size, high_bytes=size, phase="forward",
        components={"weights": 4 * parameters, "activations": size}, activations_bytes=size, modules=(Holder(name="stem", bytes=size // 2),),
        operators=(), early_bytes=size // 2, depthwise_bytes=0,
    )  # fmt: skip
    return Row(model=f"timm:resnet{number}", task="classify", image=(224, 224), parameters=parameters, infer=figures, train=figures)


def _forecast(pool: Callable[..., Pool], path: Path, names: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    monkeypatch.setattr(run, "in_processes", pool)
    with store_at(path) as store:
        return rows(names, {}, None, store)


def test_line_and_ranks_are_those_of_other_libraries() -> None:
    drawn = random.Random(0)
    x = [drawn.randrange(1, 50) * 10**6 for _ in range(40)]  # with ties
    y = [int(3 * value**0.7 * drawn.uniform(0.5, 2)) for value in x]
    found = fit(x, y)
    assert found is not None
    slope, intercept = statistics.linear_regression(x, y)
    assert found.slope == pytest.approx(slope)
    assert found.intercept_bytes == pytest.approx(intercept)
    assert found.r_squared == pytest.approx(statistics.correlation(x, y) ** 2)
    elasticity, start = np.polyfit(np.log(x), np.log(y), 1)
    assert (found.elasticity, found.log_intercept) == pytest.approx((elasticity, start))
    assert found.log_r_squared == pytest.approx(np.corrcoef(np.log(x), np.log(y))[0, 1] ** 2)
    if sys.version_info >= (3, 12):
        assert found.spearman == pytest.approx(statistics.correlation(x, y, method="ranked"))


def test_what_a_line_says_of_closed_forms() -> None:
    sizes = [10**6 * number for number in range(1, 9)]
    exact = fit(sizes, [4 * size + 512 for size in sizes])
    assert exact is not None
    assert (exact.slope, exact.intercept_bytes, exact.r_squared, exact.spearman) == pytest.approx((4, 512, 1, 1))
    power = fit(sizes, [round(1e6 * size**0.5) for size in sizes])
    assert power is not None
    assert (power.elasticity, power.log_r_squared) == pytest.approx((0.5, 1))
    flat = fit(sizes, [7] * 8)
    assert flat is not None
    assert (flat.slope, flat.r_squared, flat.spearman) == (0, 0, 0)
    assert fit([1, 1, 1], [1, 2, 3]) is None
    assert fit([1, 2], [1, 2]) is None


def test_rank_correlation_by_hand() -> None:
    """Without ties it is 1 - 6 sum(d^2) / n (n^2 - 1); with ties, ranks are means: 1, 2.5, 2.5, 4 against 1, 2, 3, 4."""
    assert spearman(np.array([1.0, 2, 3, 4, 5]), np.array([2.0, 1, 4, 3, 50])) == pytest.approx(1 - 6 * 4 / (5 * 24))
    assert spearman(np.array([1.0, 2, 2, 4]), np.array([1.0, 2, 3, 4])) == pytest.approx(4.5 / (4.5 * 5) ** 0.5)


@pytest.mark.parametrize(
    ("model", "series"),
    [
        ("ultralytics:yolo11x-seg", "ultralytics:yolo11*-seg"), ("ultralytics:yolov8n", "ultralytics:yolov8*"),
        ("torchvision:vgg16_bn", "torchvision:vgg*_bn"),
        ("timm:vit_base_patch16_224", "timm:vit_*_patch16_224"), ("timm:resnetv2_50", "timm:resnetv2_*"),
        ("torchvision:swin_v2_t", "torchvision:swin_v2_*"),
        ("torchvision:alexnet", "torchvision:alexnet"),
    ],
)  # fmt: skip
def test_sizes_of_one_network(model: str, series: str) -> None:
    assert series_of(model) == series


def test_the_outlier_is_the_one_that_was_made_one() -> None:
    made = [_row(number, 10**6 * number, 10**9) for number in range(1, 20)]
    made[6] = _row(7, 7 * 10**6, 20 * 10**9)
    group = findings(made, {}, None).groups[0]
    assert group.models == 19
    assert group.fits["weights"].slope == pytest.approx(4)
    assert group.above["training"][0].model == "timm:resnet7"
    assert group.above["training"][0].factor > 10
    total = sum(np.log(factor(row, "training", group.fits["training"])) for row in made)
    assert total == pytest.approx(0, abs=1e-9)  # residuals of least squares


def test_an_interrupted_study_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def until_interrupted(work: Callable[[Asked], Row], items: Sequence[Asked], *_: object, **__: object) -> Pool:
        for number, item in enumerate(items):
            if number == 2:
                raise KeyboardInterrupt
            asked.append(item.model)
            yield item, _row(number, 10**6, 10**9)

    def to_the_end(work: Callable[[Asked], Row], items: Sequence[Asked], *_: object, **__: object) -> Pool:
        for number, item in enumerate(items):
            asked.append(item.model)
            yield item, _row(number, 10**6, 10**9)

    path = tmp_path / "study.jsonl"
    with pytest.raises(KeyboardInterrupt):
        _forecast(until_interrupted, path, RESNETS, monkeypatch)
    assert len(_forecast(to_the_end, path, RESNETS, monkeypatch)) == 3
    assert asked == list(RESNETS)  # each once
    assert len(_forecast(to_the_end, path, RESNETS, monkeypatch)) == 3
    assert len(asked) == 3


def test_another_workload_is_another_row() -> None:
    keys = {run.fingerprint(Asked(RESNETS[0], fields, None)) for fields in ({}, {"batch": 8}, {"precision": "amp-fp16"})}
    assert len(keys) == 3


def test_patterns_choose_each_model_once_and_a_sample_is_spread() -> None:
    assert chosen(["torchvision:resnet18", "torchvision:resnet?8"]) == ("torchvision:resnet18",)
    everything = chosen(["torchvision:*"])
    assert chosen(["torchvision:*"], 4) == tuple(everything[index * len(everything) // 4] for index in range(4))
    with pytest.raises(UnknownNameError, match=r"'resnext999'.*A pattern is"):
        chosen(["resnext999"])


def test_a_study_of_real_models_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The broken one (RAFT takes two images) is named, and the others go on; figures are those of `estimate`."""
    asked = ["study", "torchvision:resnet18", "torchvision:squeezenet*", "torchvision:raft_small", "--batch", "2", "--processes", "1"]
    kept, page, table = str(tmp_path / "rows.jsonl"), tmp_path / "study.md", tmp_path / "study.csv"
    assert main([*asked, "--results", kept, "--document", str(page), "-o", str(table)]) == 0
    lines = {line["model"]: line for line in csv.DictReader(table.read_text().splitlines())}
    expected = vramcast.estimate("torchvision:resnet18", vramcast.Workload.train(batch=2)).peak
    assert int(lines["torchvision:resnet18"]["train_allocated_bytes"]) == expected.allocated_bytes
    assert int(lines["torchvision:resnet18"]["train_device_bytes"]) == expected.device_bytes
    assert "image2" in lines["torchvision:raft_small"]["error"]
    text = page.read_text()
    assert "- torchvision:raft_small: " in text
    assert (tmp_path / "study" / "training.svg").read_bytes().startswith(b"<?xml")
    assert main([*asked, "--results", kept, "--format", "json"]) == 0
    study = msgspec.json.decode(capsys.readouterr().out, type=Study)
    row = next(row for row in study.rows if row.model == "torchvision:resnet18")
    assert row.train is not None
    assert sum(row.train.components.values()) == row.train.device_bytes
    assert main([*asked, "--results", kept]) == 0
    assert "3 models of 4 forecast" in capsys.readouterr().out


def test_page_names_outliers_with_what_they_hold(tmp_path: Path) -> None:
    from vramcast.study.models import page

    made = [_row(number, 10**6 * number, 10**9 * (1 + number % 3)) for number in range(1, 20)]
    page.write(tmp_path / "study.md", findings(made, {"batch": 32}, None), "vramcast study")
    text = (tmp_path / "study.md").read_text()
    for wanted in ("19 networks", "## Image classifiers", "stem holds 50 %", "Workload: batch 32", "| weights | 4.00 |", "weights are linear"):
        assert wanted in text


def test_bad_requests_are_refused_before_anything_is_traced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="in inference and in training"):
        vramcast.study("resnet18", mode="train", results=tmp_path / "a")
    with pytest.raises(UsageError, match="batch is 0"):
        vramcast.study("resnet18", batch=0, results=tmp_path / "a")
    with pytest.raises(ForecastError, match="none of 1 models"):
        vramcast.study("torchvision:raft_small", results=tmp_path / "a", processes=1)
    assert main(["study", "torchvision:resnet18", "--train"]) == 2
    assert main(["study", "torchvision:resnet18", "--format", "parquet"]) == 2
    assert main(["study", "torchvision:resnet18", "-o", str(tmp_path / "a.xyz")]) == 2
    assert "does not tell its format" in capsys.readouterr().err


def test_json_is_plain_and_follows_its_schema() -> None:
    made = findings([_row(number, 10**6 * number, 10**9) for number in range(1, 10)], {}, "T4")
    plain = json.loads(msgspec.json.encode(made))
    jsonschema.Draft202012Validator(json.loads(path_of("study-1").read_bytes())).validate(plain)
    assert plain["schema"] == "vramcast/study-1"
    assert plain["groups"][0]["fits"]["weights"]["models"] == 9
