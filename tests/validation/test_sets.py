"""Rows of measured tables become cases, or are named with the reason why not."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from vramcast.calibration.families import family_of
from vramcast.errors import InvalidFileError, UnknownNameError
from vramcast.gpu.catalogue import find as find_card
from vramcast.units import GIB, MIB
from vramcast.validation import registry
from vramcast.validation.case import CaseSet
from vramcast.validation.gpumemnet import TIMM_TABLE, errors_of
from vramcast.validation.table import measured_bytes

MEASURED = Path(registry.__file__).parent / "measured"
HEADER = "id,task,framework,model,batch_per_gpu,image_or_seq,precision,optimizer,extra,metric,value,unit,gpu,torch_version,source,confidence,notes\n"
OPEN = [case_set for case_set in registry.SETS.values() if case_set.is_open]


@pytest.mark.parametrize("case_set", OPEN, ids=lambda case_set: case_set.name)
def test_every_row_is_a_case_or_is_named(case_set: CaseSet) -> None:
    cases, unexpressed = case_set.read(None)
    ids = [case.id for case in cases] + [row.id for row in unexpressed]
    assert len(ids) == len(set(ids))
    assert all(row.reason for row in unexpressed)
    for case in cases:
        assert case.environment.source
        assert case.measured_bytes > 0
        assert case.card or not case.gpu or find_card(case.gpu)


def test_no_row_of_the_open_tables_is_lost() -> None:
    rows = {row["id"] for table in MEASURED.glob("*.csv") for row in csv.DictReader(table.open(encoding="utf-8"))}
    read = {item.id for case_set in OPEN if case_set.name != "measured" for part in case_set.read(None) for item in part}
    assert read == rows


def test_tables_under_a_non_commercial_licence_are_not_shipped(tmp_path: Path) -> None:
    assert not any("GPUMemNet" in table.read_text(encoding="utf-8") for table in MEASURED.glob("*.csv"))
    for name in ("timm-a100", "real-models-a100"):
        with pytest.raises(InvalidFileError, match="Name the folder that holds them with --measured"):
            registry.find(name).read(None)
        with pytest.raises(InvalidFileError, match="Name their folder with --measured"):
            registry.find(name).read(str(tmp_path))


def test_timm_rows_are_marked_as_assumed(tmp_path: Path) -> None:
    (tmp_path / TIMM_TABLE).write_text(
        HEADER
        + "A-1,train,timm,convnext_tiny,32,,,,FakeTensor estimate in same table: 3000 MB,device,6000,MiB,A100,,here,med,\n"
        + "A-2,train,timm,vit_base,128,,,,,device,900,MiB,A100,,here,low,\n"
    )
    cases, unexpressed = registry.find("timm-a100").read(str(tmp_path))
    assert [(case.model, case.workload.batch, case.measured_bytes) for case in cases] == [("timm:convnext_tiny", 32, 6000 * MIB)]
    assert cases[0].environment.is_assumed
    assert [row.id for row in unexpressed] == ["A-2"]
    assert errors_of("FakeTensor", str(tmp_path), TIMM_TABLE) == [-0.5]


def test_logs_state_gigabytes_or_gibibytes() -> None:
    cases, _ = registry.find("ultralytics-logs").read(None)
    figures = {case.id: case.measured_bytes for case in cases}
    assert figures["YOLO-0001"] == round(7.95 * GIB)  # "7.95", "GiB (reserved/2**30)"
    assert figures["YOLO-0002"] == 3_510_000_000  # "3.51", "GB (reserved/1e9)"


def test_the_trainers_guide_reads_its_own_bare_process() -> None:
    cases, _ = registry.find("transformers-trainer").read(None)
    first = next(case for case in cases if case.id == "DOC-0176")
    assert first.measured_bytes == (14949 - 1341) * MIB
    assert (first.workload.batch, first.workload.seq, first.workload.optimizer) == (4, 512, "adamw")


@pytest.mark.parametrize(("value", "unit"), [("many", "MiB"), ("3", "furlongs"), ("inf", "GB (1e9)")])
def test_a_value_that_is_no_size_is_refused(value: str, unit: str) -> None:
    with pytest.raises(InvalidFileError, match="row X-1 states"):
        measured_bytes({"id": "X-1", "value": value, "unit": unit})


def test_a_table_without_its_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / TIMM_TABLE).write_text("id,model\nA-1,x\n")
    with pytest.raises(InvalidFileError, match="lack the columns batch_per_gpu"):
        registry.find("timm-a100").read(str(tmp_path))
    (tmp_path / TIMM_TABLE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidFileError, match="not a CSV file in UTF-8"):
        registry.find("timm-a100").read(str(tmp_path))


def test_an_unknown_set_names_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="timm-a100"):
        registry.find("timm-a10")


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("timm:resnet50d", "resnet"), ("timm:seresnext101_64x4d", "resnet"), ("timm:vit_base_patch16_224", "vit"), ("timm:convnext_tiny", "convnext"),
        ("timm:swinv2_base_window8_256", "swin"), ("timm:tf_efficientnet_b0", "efficientnet"), ("timm:mobilenetv3_large_100", "mobile"),
        ("ultralytics:yolov8n-seg", "yolo"), ("ultralytics:rtdetr-l", "rt-detr"), ("timm:repvgg_a0", "plain"), ("transformers:bert-large", "bert"),
        ("timm:efficientvit_b0", "efficient-vit"), ("timm:mobilevitv2_150", "mobile"), ("timm:regnety_016", "regnet"),
        ("timm:hiera_small_abswin_256", "vit"), ("timm:res2net50_14w_8s", "resnet"), ("mine.py:build", "other"),
    ],
)  # fmt: skip
def test_family_by_name(model: str, family: str) -> None:
    assert family_of(model) == family
