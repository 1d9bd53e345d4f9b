"""What Ultralytics' AutoBatch printed while it looked for a batch size: the reserved memory of forward and backward at small batches.

No trainer runs, and no optimizer: AutoBatch is a program of its own, and that program is traced here as it stood in ultralytics 8.0.58
(yolo/engine/trainer.py `check_amp`, yolo/utils/autobatch.py `check_train_batch_size` and `autobatch`, yolo/utils/torch_utils.py `profile`).
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from vramcast.validation.case import Case, CaseSet, Unexpressed
from vramcast.validation.figures import AS_USER, Figures, Forecaster
from vramcast.validation.table import environment_of, measured_bytes, rows
from vramcast.workload import Workload

_CARDS = {"RTX 4090": "RTX 4090", "Tesla T4": "T4", "A100-SXM4-80GB": "A100 80GB"}
_BATCHES = (1, 2, 4, 8, 16)
_REPEATS = 3
_SIDE_OF_CHECK = 640
"""The AMP check predicts one picture at the default size, in both precisions, with YOLOv8n."""


class AutoBatch(CaseSet):
    """Three runs of AutoBatch, on YOLOv8n, YOLOv8s and YOLOv8l-seg."""

    name = "yolo-autobatch"
    citation = "AutoBatch tables in issues 1451, 1659 and 4679 of https://github.com/ultralytics/ultralytics"
    environment = ""

    def read(self, folder: str | None) -> tuple[list[Case], list[Unexpressed]]:
        """Every row is expressed; the workload says model, batch and image, the rest is `forecast`'s program."""
        return [_case(row) for row in rows(folder, "yolo_autobatch.csv")], []

    def forecast(self, case: Case, by: Forecaster = AS_USER) -> Figures:
        """Trace AutoBatch up to the case's batch; smaller batches come before it and leave their gradients behind."""

        def program() -> None:
            _check_amp()
            _autobatch(_network(case.model), case.workload)

        return by.of_program(program, case.model, case.workload, case.gpu)


def _case(row: dict[str, str]) -> Case:
    batch, image = int(row["batch_per_gpu"]), int(row["image_or_seq"])
    return Case(
        id=row["id"],
        model=f"ultralytics:{row['model']}",
        workload=Workload.train(batch=batch, image=image, precision="amp-fp16"),
        gpu=_CARDS[row["gpu"]],
        metric="reserved",
        measured_bytes=measured_bytes(row),
        group=row["model"],
        environment=environment_of(row),
    )


def _network(model: str) -> Any:
    from ultralytics.nn.tasks import DetectionModel, SegmentationModel

    name = model.partition(":")[2]
    kind: Any = SegmentationModel if name.endswith("-seg") else DetectionModel
    return kind(f"{name}.yaml", verbose=False).to("cuda")


def _check_amp() -> None:
    """Predict in both precisions, and let the network go."""
    import torch

    network = _network("ultralytics:yolov8n").eval()
    for is_enabled in (False, True):
        with torch.no_grad(), torch.autocast("cuda", enabled=is_enabled):
            network(torch.empty(1, 3, _SIDE_OF_CHECK, _SIDE_OF_CHECK).to("cuda"))


def _autobatch(network: Any, workload: Workload) -> None:
    """Profile a copy of the network, which stays; the cache is emptied between two batches."""
    import torch

    assert workload.image is not None
    with torch.autocast("cuda"):
        copy = deepcopy(network).train()
        batches = [batch for batch in _BATCHES if batch <= workload.batch]
        for batch in batches:
            _profile(copy, torch.empty(batch, 3, *workload.image).to("cuda"))
            if batch != batches[-1]:
                torch.cuda.empty_cache()


def _profile(network: Any, images: Any) -> None:
    """Run forward and backward some times; gradients are never cleared, those of the images are kept as well.

    The sum of outputs is taken of a list only. Networks for segmentation return a tuple, whose missing `sum` is an error that `profile`
    passes over: they never run backward, and the graph of one repeat lives until that of the next is complete.
    """
    images.requires_grad = True
    for _ in range(_REPEATS):
        outputs = network(images)
        if type(network).__name__ != "SegmentationModel":
            sum(part.sum() for part in _feature_maps(outputs)).backward()


def _feature_maps(outputs: Any) -> list[Any]:
    """Return what a detection head returned of old: one tensor a level; 8.4 returns boxes, scores and features by name."""
    from vramcast.program.tasks.interface import tensors_in

    return list(tensors_in(outputs))
