"""The models that are compared, and one training step of each as plain torch code."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

Step = Callable[[nn.Module, str], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Subject:
    """A model, its batch, and a step that returns the loss."""

    name: str
    vramcast: str
    batch: int
    options: dict[str, Any]
    build: Callable[[], nn.Module]
    loss: Step
    inputs: Callable[[], Any]
    """What torchinfo is given."""


def _images(batch: int, device: str, side: int = 224) -> torch.Tensor:
    return torch.zeros(batch, 3, side, side, device=device)


def _classify(batch: int) -> Step:
    def loss(module: nn.Module, device: str) -> torch.Tensor:
        labels = torch.zeros(batch, dtype=torch.int64, device=device)
        return F.cross_entropy(module(_images(batch, device)), labels)

    return loss


def _torchvision(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from vramcast.sources.torchvision_import import import_torchvision

        import_torchvision()
        import torchvision

        return torchvision.models.get_model(name, weights=None)

    return build


def _yolo(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from vramcast.sources.torchvision_import import prepare_import

        prepare_import()
        from ultralytics.cfg import get_cfg
        from ultralytics.nn.tasks import DetectionModel

        module = DetectionModel(f"{name}.yaml", verbose=False)
        module.args = get_cfg()
        return module

    return build


def _yolo_loss(batch: int) -> Step:
    def loss(module: nn.Module, device: str) -> torch.Tensor:
        from vramcast.program.tasks.drawn_boxes import boxes_xywh

        boxes = boxes_xywh(10, torch.Generator().manual_seed(0)).repeat(batch, 1)
        index = torch.arange(batch, dtype=torch.float32).repeat_interleave(10)
        content = {"img": _images(batch, device, 640), "cls": torch.zeros(batch * 10, 1), "bboxes": boxes, "batch_idx": index}
        return module({key: value.to(device) for key, value in content.items()})[0].sum()

    return loss


BERT = {"model_type": "bert", "architectures": ["BertForMaskedLM"]}
"""`BertConfig`'s defaults are BERT-base (transformers 5)."""


def bert_folder() -> str:
    """Write BERT-base's configuration into a temporary folder."""
    folder = Path(tempfile.gettempdir(), "vramcast-benchmark-bert")
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(BERT), encoding="utf-8")
    return str(folder)


def _bert() -> nn.Module:
    from vramcast.sources.torchvision_import import prepare_import

    prepare_import()
    from transformers import BertConfig, BertForMaskedLM

    return BertForMaskedLM(BertConfig())


def _bert_loss(batch: int, sequence: int) -> Step:
    def loss(module: nn.Module, device: str) -> torch.Tensor:
        ids = torch.zeros(batch, sequence, dtype=torch.int64, device=device)
        return module(input_ids=ids, labels=ids).loss

    return loss


def subjects() -> dict[str, Subject]:
    """Return the five models of the table."""
    images = [("ResNet-50", "resnet50"), ("ViT-B/16", "vit_b_16"), ("ConvNeXt-T", "convnext_tiny")]
    table = [
        Subject(title, f"torchvision:{name}", 32, {"image": 224}, _torchvision(name), _classify(32), lambda: (32, 3, 224, 224))
        for title, name in images
    ]
    table.append(Subject("YOLO11m", "ultralytics:yolo11m", 16, {"image": 640}, _yolo("yolo11m"), _yolo_loss(16), lambda: (16, 3, 640, 640)))
    table.append(Subject("BERT-base", f"transformers:{bert_folder()}", 8, {"seq": 512}, _bert, _bert_loss(8, 512), lambda: (8, 512)))
    return {subject.name: subject for subject in table}
