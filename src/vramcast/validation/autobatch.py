"""What Ultralytics' AutoBatch printed while it looked for a batch size: the reserved memory of forward and backward at small batches.

No trainer runs, and no optimizer: AutoBatch is a program of its own, and that program is traced here as it stood in ultralytics 8.0.58
(yolo/engine/trainer.py `check_amp`, yolo/utils/autobatch.py `check_train_batch_size` and `autobatch`, yolo/utils/torch_utils.py `profile`; 8.0.154,
of August 2023, has the same lines).

All of it runs in one autocast region, and the first pass over each batch is thop's, where that is installed: it counts operations, in evaluation
mode and without gradients (thop 0.1.1, profile.py). In torch of 2023 autocast's cache therefore holds copies of the weights that lead back to no
weight (issue 112583 of pytorch/pytorch, mended by pull request 165068): convolutions get no gradients of their weights and save no inputs.
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
_WITHOUT_COUNT = "issues/4679"
"""The run whose table prints 0 GFLOPs: thop was not there."""
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
            _autobatch(_network(case.model), case.workload, is_counting=not case.environment.source.endswith(_WITHOUT_COUNT))

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


def _autobatch(network: Any, workload: Workload, *, is_counting: bool) -> None:
    """Profile a copy of the network, which stays; the cache is emptied between two batches."""
    import torch

    assert workload.image is not None
    with torch.autocast("cuda"):
        copy = deepcopy(network).train()
        weights = _use_cached_copies(copy) if is_counting else []
        batches = [batch for batch in _BATCHES if batch <= workload.batch]
        for batch in batches:
            images = torch.empty(batch, 3, *workload.image).to("cuda").requires_grad_()
            if is_counting:
                _count_operations(copy, images)
            _profile(copy, images)
            del images
            if batch != batches[-1]:
                torch.cuda.empty_cache()
        weights.clear()


def _count_operations(network: Any, images: Any) -> None:
    """Run thop's pass: evaluation mode, no gradients; convolutions then have what autocast's cache holds in place of their weights."""
    import torch

    network.eval()
    with torch.no_grad():
        network(images)
    network.train()


def _use_cached_copies(network: Any) -> list[Any]:
    """Let each convolution replace its weight, when it first runs, by an fp16 copy that leads back to none; return the weights, which stay."""
    import torch

    weights: list[Any] = []

    def replace(module: Any, _: Any) -> None:
        for name, weight in list(module.named_parameters(recurse=False)):
            if weight.requires_grad and weight.dtype is torch.float32:
                weights.append(weight)
                delattr(module, name)
                setattr(module, name, weight.detach().half())

    for module in network.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
            module.register_forward_pre_hook(replace)
    return weights


def _profile(network: Any, images: Any) -> None:
    """Run forward and backward some times; gradients are never cleared, those of the images are kept as well.

    The sum of outputs is taken of a list only. Networks for segmentation return a tuple, whose missing `sum` is an error that `profile`
    passes over: they never run backward, and the graph of one repeat lives until that of the next is complete.
    """
    for _ in range(_REPEATS):
        outputs = network(images)
        if type(network).__name__ != "SegmentationModel":
            sum(part.sum() for part in _feature_maps(outputs)).backward()


def _feature_maps(outputs: Any) -> list[Any]:
    """Return what a detection head returned of old: one tensor a level; 8.4 returns boxes, scores and features by name."""
    from vramcast.program.tasks.interface import tensors_in

    return list(tensors_in(outputs))
