"""Reserved memory as YOLO trainers printed it in public training logs.

What a log prints is `torch.cuda.memory_reserved()` after a training batch, in GB of 10^9 bytes up to 8.3.63 and in GiB from 8.3.82 on
(engine/trainer.py, `_get_memory`; both as the table says). Whether validation counts in it depends on the version: ultralytics empties the cache
after each epoch up to 8.3.83, from 8.3.110 on where more than half of the card is held, from 8.3.155 on before validation too (engine/trainer.py,
`_clear_memory`; 8.3.90 and 8.3.100, of which no row is, above 90 %); the trainer of the yolov9 repository, made after yolov5's, never does.
"""

from __future__ import annotations

import re

from vramcast.gpu.catalogue import resolve
from vramcast.validation.case import Case, CaseSet, Unexpressed
from vramcast.validation.figures import AS_USER, Figures, Forecaster
from vramcast.validation.fullest_image import fullest_image
from vramcast.validation.table import environment_of, measured_bytes, rows
from vramcast.workload import Workload

_ARCHITECTURE = re.compile(r"yolo(v5|v6|v8|v9|v10|v?11|v?12)[nsmlxtce]u?(-seg|-obb|-pose)?|rtdetr-[lx]|gelan-c")
_CARDS = {
    "P100": "P100 16GB",
    "T4": "T4",
    "L4": "L4",
    "V100": "V100 32GB",
    "4090": "RTX 4090",
    "2080 Ti": "RTX 2080 Ti",
    "2080": "RTX 2080",
    "A100": "A100 40GB",
}
_KEEPS_CACHE_SINCE = (8, 3, 90)
_LIKE_TODAY_SINCE = (8, 4, 100)
"""The first version looked at whose assigner no longer lays the sides of all pairs side by side (utils/tal.py; 8.4.95 does)."""
_DETERMINISTIC_SINCE = 2
"""torch's first number from which on `init_seeds` sets anything (utils/torch_utils.py, ultralytics 8.0.196 and 8.3.226)."""
_YOLOV9 = {"assigner": "one-hot", "empties_cache": "never"}
"""What the yolov9 repository's trainer does otherwise (WongKinYiu/yolov9 5b1ea9a, utils/tal/assigner.py, train.py)."""
_ORIENTED = {"precision": "fp16", "uses_ema": True}
"""Oriented boxes validate the training batch (engine/trainer.py, `task == "obb"`), otherwise as all do."""
_LOGGED = re.compile(r"epochs logged=(\d+) of")
_LEFTOVERS = "the same process had trained and validated"
"""How `yolo_setups.csv` says that the figure is of memory left over from earlier runs."""


class UltralyticsLogs(CaseSet):
    """YOLOv5 to 12 and RT-DETR: the largest figure over the epochs of a run.

    Classes, true batch and architecture are read off the logs (`yolo_setups.csv`), and the objects per image: of the fullest
    image, which decides what the loss takes, as far as the printed batches tell (`fullest_image.py`). Each row is forecast with the trainer its
    log names: all of ultralytics are older than 8.4.100, so have the preset `ultralytics-8.3`; the yolov9 repository's does alike, but for
    its own assigner (WongKinYiu/yolov9 5b1ea9a, train.py, val.py, utils/tal/assigner.py).
    """

    name = "ultralytics-logs"
    citation = "public training logs; each row of yolo_train.csv names its repository, commit and file"
    environment = ""

    def read(self, folder: str | None) -> tuple[list[Case], list[Unexpressed]]:
        """Rows of networks that no installed package builds, and of what earlier runs left over, are not expressed."""
        setups = {setup["id"]: setup for setup in rows(folder, "yolo_setups.csv", columns=("id", "architecture", "batch", "notes"))}
        cases, unexpressed = [], []
        for row in rows(folder, "yolo_train.csv"):
            reason = _reason_against(row, setups[row["id"]])
            if reason:
                unexpressed.append(Unexpressed(row["id"], reason))
            else:
                cases.append(_case(row, setups[row["id"]]))
        return cases, unexpressed

    def forecast(self, case: Case, by: Forecaster = AS_USER) -> Figures:
        """Forecast a training step where the cache is emptied before anything else is seen; otherwise the run, validation included."""
        step = by.of_model(case.model, case.workload.with_fields(phases="step", validation=None), case.gpu)
        is_emptied = _empties_always(case) or 2 * step.reserved_bytes > resolve(case.gpu).usable_bytes
        return step if is_emptied and not _never_empties(case) else by.of_model(case.model, case.workload, case.gpu)


def _reason_against(row: dict[str, str], setup: dict[str, str]) -> str:
    if _LEFTOVERS in setup["notes"]:
        return "the figure is of what earlier runs left in the same process"
    if not _ARCHITECTURE.fullmatch(setup["architecture"]):
        return f"no installed package builds {setup['architecture']!r}"
    if row["framework"].startswith("yolov5"):
        return "yolov5's own detection head and loss are in no installed package"
    return "" if _card(row["gpu"]) else f"unknown card {row['gpu']!r}"


def _case(row: dict[str, str], setup: dict[str, str]) -> Case:
    model = setup["architecture"].replace("gelan-c", "yolov9c").replace("yolov11", "yolo11").replace("yolov12", "yolo12")
    workload = Workload.train(
        preset=_preset(row["framework"]),
        habits=None if row["framework"].startswith("ultralytics") else _YOLOV9,
        batch=int(setup["batch"]),
        image=int(setup["image"]),
        classes=int(setup["classes"]),
        targets=_fullest(row, setup),
        optimizer=_optimizer(row["optimizer"]),
        validation=_ORIENTED | {"batch": int(setup["batch"])} if setup["architecture"].endswith("-obb") else None,
        environment=_environment(row["torch_version"]),
    )
    return Case(
        id=row["id"], model=f"ultralytics:{model}", workload=workload, gpu=_card(row["gpu"]), metric="reserved",
        measured_bytes=measured_bytes(row), group=model, environment=environment_of(row, trainer=row["framework"], further=setup["notes"]),
    )  # fmt: skip


def _fullest(row: dict[str, str], setup: dict[str, str]) -> int:
    logged = _LOGGED.search(row["notes"])
    return fullest_image(
        printed=int(setup["printed_instances"]), images=int(setup["printed_batch"]), epochs=int(logged[1]) if logged else 1,
        data_set=int(setup["train_images"]),
    )  # fmt: skip


def _optimizer(text: str) -> str | None:
    """Return the workload's name for what the trainer printed: `optimizer: AdamW(lr=0.002, …`."""
    name = text.partition("(")[0].rpartition(" ")[2].lower()
    return {"adamw": "adamw", "sgd": "nesterov", "adam": "adam", "musgd": "musgd"}.get(name)


def _preset(trainer: str) -> str:
    is_todays = trainer.startswith("ultralytics") and _version(trainer) >= _LIKE_TODAY_SINCE
    return "ultralytics" if is_todays else "ultralytics-8.3"


def _environment(torch: str) -> dict[str, object]:
    """Return the stack of a row; before torch 2.0 the trainer asks for no determinism, so cuBLAS has its own workspaces."""
    if not re.match(r"\d+\.\d+", torch):
        return {}
    is_deterministic = int(torch.partition(".")[0]) >= _DETERMINISTIC_SINCE
    return {"torch": torch} | ({} if is_deterministic else {"deterministic": False, "cublas_workspace": None})


def _card(text: str) -> str:
    return next((card for mark, card in _CARDS.items() if mark in text), "")


def _empties_always(case: Case) -> bool:
    return not _never_empties(case) and _version(case.environment.trainer) < _KEEPS_CACHE_SINCE


def _never_empties(case: Case) -> bool:
    return not case.environment.trainer.startswith("ultralytics")


def _version(trainer: str) -> tuple[int, ...]:
    """Return the version of `ultralytics 8.3.176`; the table prints 8.0.196 as `0.196` and 8.2.57 as `2.57`."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", trainer))
    return numbers if len(numbers) == 3 else (8, *numbers)
