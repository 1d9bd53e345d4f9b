"""Groups of comparable cases, the lookup that falls back from narrow ones to wide ones, and the table that is shipped."""

from __future__ import annotations

import math

import msgspec
import pytest

from vramcast.calibration.distribution import LEVELS
from vramcast.calibration.groups import LEAST_CASES, Cell, Residual, cell_of, groups
from vramcast.calibration.kinds import WORDS, kind_of, kind_of_name
from vramcast.calibration.table import LEAST_MODELS, WIDENED, Table, comparable, shipped

CONVOLUTIONAL = Cell("convolutional", "train", "fp32")
TRANSFORMER = Cell("vision-transformer", "train", "fp32")
YOLO = Cell("yolo", "train", "amp")


def _cases(cell: Cell, count: int, ratio: float, models: int = 9) -> list[Residual]:
    return [
        Residual(cell=cell, case_set="hand-made", metric="device", model=f"{cell.kind}{index % models}", group=str(index), ratio=ratio)
        for index in range(count)
    ]


FITTED = groups([*_cases(CONVOLUTIONAL, 200, 1.05), *_cases(TRANSFORMER, 30, 0.9), *_cases(YOLO, 8, 1.5)])


def test_a_workload_is_compared_with_its_own_cell() -> None:
    found = comparable(CONVOLUTIONAL, FITTED)
    assert (found.cases, found.is_same_cell, found.distribution.spread) == (200, True, pytest.approx(1.05))
    assert found.words == "200 measured cases: convolutional networks, fp32 training"


@pytest.mark.parametrize(
    ("asked", "cases", "words"),
    [
        (Cell("convolutional", "train", "amp"), 200, "convolutional networks, training"),
        (Cell("language", "train", "fp32"), 230, "networks of all kinds, fp32 training"),
        (Cell("yolo", "train", "amp"), 238, "networks of all kinds, training"),
        (Cell("other", "train", "half"), 238, "networks of all kinds, training"),
        (Cell("convolutional", "infer", "half"), 238, "networks of all kinds"),
    ],
)
def test_where_there_are_too_few_cases_wider_groups_are_taken_and_widened(asked: Cell, cases: int, words: str) -> None:
    found = comparable(asked, FITTED)
    assert (found.cases, found.is_same_cell) == (cases, False)
    assert found.words == f"{cases} measured cases: {words}; widened, too few are closer"
    narrow = next(group for group in FITTED if group.cell.holds(asked))
    assert found.distribution.spread == pytest.approx(narrow.spread**WIDENED)


def test_cases_of_few_networks_do_not_speak_for_all_of_their_kind() -> None:
    few = comparable(CONVOLUTIONAL, groups(_cases(CONVOLUTIONAL, 200, 1.05, models=LEAST_MODELS - 1)))
    assert (few.is_same_cell, few.distribution.spread) == (False, pytest.approx(1.05**WIDENED))
    assert few.words.endswith("; widened, from 4 models only")
    assert comparable(CONVOLUTIONAL, groups(_cases(CONVOLUTIONAL, 200, 1.05, models=LEAST_MODELS))).is_same_cell


def test_no_cell_of_a_wider_group_drowns_the_others() -> None:
    everything = next(group for group in FITTED if group.cell == Cell(None, None, None))
    # 200, 30 and 8 cases count as 20, 20 and 8.
    assert everything.distribution.share_within(0.95) == pytest.approx(20 / 48, abs=0.03)
    assert everything.distribution.share_within(1.2) == pytest.approx(40 / 48, abs=0.03)


def test_groups_of_all_kinds_have_cases_of_several() -> None:
    alone = groups(_cases(CONVOLUTIONAL, LEAST_CASES, 1.0))
    assert [group.cell for group in alone] == [CONVOLUTIONAL, Cell("convolutional", "train", None), Cell(None, None, None)]
    assert [group.cell for group in groups(_cases(CONVOLUTIONAL, LEAST_CASES - 1, 1.0))] == [Cell(None, None, None)]
    assert groups([]) == ()


@pytest.mark.parametrize(
    ("model", "operators", "kind"),
    [
        ("timm:resnet50d.a1_in1k", (), "convolutional"),
        ("timm:resnest50d", (), "convolutional"),
        ("torchvision:swin_v2_t", (), "vision-transformer"),
        ("ultralytics:rtdetr-l", (), "yolo"),
        ("transformers:/models/vit/bert-large-uncased", (), "language"),
        ("transformers:/models/resnets/unnamed", ("aten::embedding", "aten::mm"), "language"),
        ("python:ResNetOfMine", ("aten::convolution", "aten::add"), "convolutional"),
        ("python:Net", ("aten::convolution", "aten::_scaled_dot_product_flash_attention"), "vision-transformer"),
        ("python:Net", ("aten::convolution", "aten::bmm", "aten::_softmax"), "vision-transformer"),
        ("python:Net", ("aten::mm", "aten::relu"), "other"),
        ("params:100M", (), "other"),
    ],
)
def test_kinds_come_from_known_names_and_else_from_operators(model: str, operators: tuple[str, ...], kind: str) -> None:
    assert kind_of(model, operators) == kind
    if not operators:
        assert kind_of_name(model) == kind


def test_shipped_table_is_one_that_can_be_made() -> None:
    table = shipped()
    assert msgspec.json.decode(msgspec.json.encode(table), type=Table) == table
    assert table.levels == LEVELS
    assert table.groups[-1].cell == Cell(None, None, None)
    assert len({group.cell for group in table.groups}) == len(table.groups)
    for group in table.groups:
        assert group.spread > 1
        assert list(group.quantiles) == sorted(group.quantiles)
        assert len(group.quantiles) == len(LEVELS)
        assert group.cases == sum(group.sets.values()) == sum(group.metrics.values()) >= LEAST_CASES
        assert group.cell.kind in (None, *WORDS)
        assert group.distribution.share_within(group.spread) - group.distribution.share_within(1 / group.spread) > 0.9


@pytest.mark.parametrize("kind", WORDS)
@pytest.mark.parametrize("mode", ["train", "infer"])
@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16", "bf16", "amp-fp16", "amp-bf16"])
def test_shipped_table_answers_for_every_workload(kind: str, mode: str, precision: str) -> None:
    found = comparable(cell_of(kind, mode, precision))
    assert found.cases >= LEAST_CASES
    assert math.isfinite(found.distribution.spread)
