"""What TensorRT's builder and runtime wrote in their logs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec.structs import replace

from vramcast.trace import Component, Trace
from vramcast.validation.case import Case, CaseSet, Metric, Unexpressed
from vramcast.validation.figures import AS_USER, Figures, Forecaster, figures_of
from vramcast.validation.table import environment_of, measured_bytes, rows, sorted_out
from vramcast.workload import Workload

if TYPE_CHECKING:
    from torch import nn

_METRICS: dict[str, Metric] = {
    "Total Weights Memory": "weights", "Total Activation Memory": "activation", "IExecutionContext device memory (MiB)": "activation",
}  # fmt: skip
_ZOO = "resnet50 (onnx-caffe2 zoo model.onnx)"
_PTQ = "torchvision mobilenet_v2: mobilenetv2_ptq"
_MODELS = {
    _ZOO: ("torchvision:resnet50", None, 224),
    "torchvision resnet50 (exported resnet50_pytorch.onnx)": ("torchvision:resnet50", None, 224),
    _PTQ: ("torchvision:mobilenet_v2", None, 224),
    "yolo11m (yolov11m.onnx)": ("ultralytics:yolo11m", None, 640),
    "yolov8s (ultralytics export)": ("ultralytics:yolov8s", None, 640),
    "yolo11n (ultralytics export)": ("ultralytics:yolo11n", None, 640),
    "yolov10n of 6 classes (ultralytics export)": ("ultralytics:yolov10n", 6, 640),
    "yolov10n of 1 class (ultralytics export)": ("ultralytics:yolov10n", 1, 640),
    "yolov5n of 6 classes (ultralytics export)": ("ultralytics:yolov5n", 6, 640),
    "yolov8n of 6 classes (ultralytics export)": ("ultralytics:yolov8n", 6, 640),
    "yolo11n of 6 classes (ultralytics export)": ("ultralytics:yolo11n", 6, 640),
}
"""Model as the table names it -> name, classes, image side."""
_NOT_BUILT = {
    "yolov7-tiny": "no source has the model",
    "detectron2": "the sample puts its graph together by hand, from detectron2's export",
}
_NOT_JUDGED = {
    "Scratch": "scratch is forecast as part of the activation memory",
    "Persistent": "persistent memory is taken as nothing, and the caveat says how much it may be; before TensorRT 8.6 it holds weights",
    "Loaded engine size": "size of a file, with what stays on the host, in whole MiB",
    "IExecutionContext creation": "activation and persistent memory together, in whole MiB",
    "TRT-managed": "weights and activation together, in whole MiB",
}
"""Part of a metric's name -> why it is no case."""
_CARDS = {name: name for name in ("RTX 3070", "RTX A5000", "RTX 2080 Ti", "RTX 3060")}
_PROFILES = {"max 8 (opt 4, min 1)": (1, 4, 8)}


class TensorRtLogs(CaseSet):
    """Builders' totals of weights and activation memory, for models that can be built here."""

    name = "tensorrt-logs"
    citation = "public logs and NVIDIA/TensorRT notebooks; rows of tensorrt_logs.csv name file and commit where they were recorded"
    environment = ""

    def read(self, folder: str | None) -> tuple[list[Case], list[Unexpressed]]:
        """Rows whose model, shapes or metric cannot be expressed are named with what stands first against them."""
        return sorted_out(rows(folder, "tensorrt_logs.csv"), _reason_against, _case)

    def forecast(self, case: Case, by: Forecaster = AS_USER) -> Figures:
        """Forecast as `vramcast estimate --backend tensorrt` does, and read weights and plan off the trace."""
        from vramcast.pipeline import estimate

        found = estimate(_MADE.get(case.group, case.model), case.workload, case.gpu or None)
        contexts = case.workload.tensorrt.contexts
        return replace(
            figures_of(found),
            weights_bytes=_bytes_of(found.trace, Component.WEIGHTS),
            activation_bytes=_bytes_of(found.trace, Component.ACTIVATIONS, Component.WORKSPACE) // contexts,
        )


def _reason_against(row: dict[str, str]) -> str:
    if "Init CU" in row["metric"] or "Init cu" in row["metric"]:
        return "context and libraries of a TensorRT process, other processes on the card included"
    if row["confidence"] == "low":
        return "model or shapes are not stated"
    if float(row["value"]) == 0:
        return "a figure of nothing has no relative error"
    for part, reason in _NOT_JUDGED.items():
        if part in row["metric"]:
            return reason
    return "" if row["model"] in _MODELS else _NOT_BUILT[row["model"].partition(" ")[0]]


def _case(row: dict[str, str]) -> Case:
    model, classes, side = _MODELS[row["model"]]
    profile = _PROFILES.get(row["batch_per_gpu"])
    is_int8 = row["precision"].startswith("int8")
    options = {
        "quantization": "int8" if is_int8 else "none", "profile": profile, "bindings": "engine" if "inputIOFormats=fp16" in row["notes"] else "fp32",
    }  # fmt: skip
    workload = Workload.infer(
        backend="tensorrt", batch=1 if profile else int(row["batch_per_gpu"]), image=side, classes=classes,
        precision="fp16" if row["precision"] in ("fp16", "int8") else "fp32", tensorrt=options,
    )  # fmt: skip
    return Case(
        id=row["id"], model=model, workload=workload, gpu=_CARDS.get(row["gpu"], ""), metric=_METRICS[_metric(row)],
        measured_bytes=measured_bytes(row), group=row["model"], environment=environment_of(row),
    )  # fmt: skip


def _metric(row: dict[str, str]) -> str:
    return row["metric"].removeprefix("TensorRT log: ")


def _bytes_of(trace: Trace, *components: Component) -> int:
    return int(trace.sizes[np.isin(trace.components, components)].sum())


def _zoo_resnet50() -> nn.Module:
    """The zoo's ResNet-50: strides in the first convolution of a block, as in the paper, and softmax at the end (onnx/models, resnet50 of caffe2)."""
    from torch import nn

    from vramcast.sources.torchvision_import import import_torchvision

    torchvision = import_torchvision()

    network: nn.Module = torchvision.models.resnet50()
    for block in network.modules():
        if isinstance(block, torchvision.models.resnet.Bottleneck) and block.conv2.stride == (2, 2):
            block.conv1.stride, block.conv2.stride = (2, 2), (1, 1)
    return nn.Sequential(network, nn.Softmax(1))


def _quantized_mobilenet() -> nn.Module:
    """The notebook's MobileNetV2: pytorch-quantization puts scales on what convolutions and linear layers read; sums stay in fp32."""
    import torch
    from torch import nn
    from torch.nn import functional

    from vramcast.sources.torchvision_import import import_torchvision

    def rounded(tensor: torch.Tensor) -> Any:
        return torch.fake_quantize_per_tensor_affine(tensor, 0.1, 0, -128, 127)

    def quantized(layer: Any) -> Callable[[torch.Tensor], torch.Tensor]:
        compute = functional.linear if isinstance(layer, nn.Linear) else layer._conv_forward
        return lambda tensor: compute(rounded(tensor), rounded(layer.weight), layer.bias)

    network: nn.Module = import_torchvision().models.mobilenet_v2()
    layers: list[Any] = [part for part in network.modules() if isinstance(part, (nn.Conv2d, nn.Linear))]
    for layer in layers:
        layer.forward = quantized(layer)
    return network


_MADE = {_ZOO: _zoo_resnet50, _PTQ: _quantized_mobilenet}
"""Model as the table names it -> what makes it, where no source does."""
