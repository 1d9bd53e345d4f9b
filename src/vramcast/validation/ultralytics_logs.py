"""Reserved memory as Ultralytics' trainer printed it in public training logs."""

from __future__ import annotations

import re

from vramcast.validation.case import Case, CaseSet, Unexpressed
from vramcast.validation.table import environment_of, measured_bytes, rows
from vramcast.workload import Workload

_FAMILY = re.compile(r"(yolov?\d+)u?([nsmlxbtce]?)(-\w+)?\.(pt|yaml)|rtdetr-[lx]\.pt")
_CARDS = {"P100": "P100 16GB", "T4": "T4", "L4": "L4", "V100": "V100 32GB", "4090": "RTX 4090", "2080 Ti": "RTX 2080 Ti", "A100": "A100 40GB"}


class UltralyticsLogs(CaseSet):
    """YOLOv8 to 12 and RT-DETR, with what is printed per batch: `torch.cuda.memory_reserved()`, the largest over the epochs.

    The logs are of versions up to 8.4.31, from before the trainer chose channels-last by itself (ultralytics pull request 26007, 2026-08-31);
    otherwise the preset of 8.4 is taken for all of them.
    """

    name = "ultralytics-logs"
    citation = "public training logs; each row of yolo_train.csv names its repository, commit and file"
    environment = ""

    def read(self, folder: str | None) -> tuple[list[Case], list[Unexpressed]]:
        """Rows of other trainers, of checkpoints that hide their architecture, and of runs that the table calls doubtful are not expressed."""
        cases, unexpressed = [], []
        for row in rows(folder, "yolo_train.csv"):
            reason = _reason_against(row)
            if reason:
                unexpressed.append(Unexpressed(row["id"], reason))
            else:
                cases.append(_case(row))
        return cases, unexpressed


def _reason_against(row: dict[str, str]) -> str:
    if not row["framework"].startswith("ultralytics"):
        return f"another trainer: {row['framework']}"
    if not _FAMILY.fullmatch(row["model"]):
        return f"the checkpoint's name {row['model']!r} hides its architecture"
    if row["confidence"] == "low":
        return "the table calls the row doubtful"
    return "" if _card(row["gpu"]) else f"unknown card {row['gpu']!r}"


def _case(row: dict[str, str]) -> Case:
    model = _name(row["model"])
    workload = Workload.train(
        preset="ultralytics",
        channels_last=False,
        batch=int(row["batch_per_gpu"]),
        image=int(row["image_or_seq"]),
        optimizer=_optimizer(row["optimizer"]),
    )
    return Case(
        id=row["id"], model=f"ultralytics:{model.replace('yolov12', 'yolo12')}", workload=workload, gpu=_card(row["gpu"]), metric="reserved",
        measured_bytes=measured_bytes(row), group=model, environment=environment_of(row),
    )  # fmt: skip


def _name(file: str) -> str:
    """Return the model's name; a YAML file without a scale is built at the first one, n (`parse_model`, ultralytics 8.2)."""
    name, _, kind = file.rpartition(".")
    return f"{name}n" if kind == "yaml" and name[-1].isdigit() else name


def _optimizer(text: str) -> str | None:
    """Return the workload's name for what the trainer printed: `optimizer: AdamW(lr=0.002, …`."""
    name = text.partition("(")[0].rpartition(" ")[2].lower()
    return {"adamw": "adamw", "sgd": "nesterov", "adam": "adam"}.get(name)


def _card(text: str) -> str:
    return next((card for mark, card in _CARDS.items() if mark in text), "")
