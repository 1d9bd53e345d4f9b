"""Estimates made by hand, for the report tests. Run as a script, it writes the golden files anew: look at what changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from vramcast.footprint import (
    Calibration,
    CaveatNote,
    DataSummary,
    Estimate,
    GpuSummary,
    ModelSummary,
    ModuleShare,
    NamedSample,
    OperatorShare,
    Peak,
    PhasePeak,
    Rung,
    Spread,
)
from vramcast.reports.glyphs import ASCII, UNICODE
from vramcast.reports.json import encode
from vramcast.reports.terminal import render_plain
from vramcast.workload import Habits, Validation, Workload

MIB = 2**20
GOLDEN = Path(__file__).with_name("golden")


@dataclass(frozen=True)
class HandMadeForecast:
    """What the reports read; the event tables are not looked at by the reports tested here."""

    estimate: Estimate
    trace: Any = None
    timeline: Any = None


CARD = GpuSummary(
    name="NVIDIA GeForce RTX 4090", memory_bytes=24576 * MIB, usable_bytes=24082 * MIB, compute_capability="8.9", context_bytes=430 * MIB
)  # fmt: skip
COMPONENTS = {
    "weights": 102_228_128,
    "buffers": 214_260,
    "gradients": 102_228_128,
    "optimizer_states": 204_456_256,
    "cast_copies": 51_114_064,
    "inputs": 38_535_168,
    "activations": 5_905_580_032,
    "outputs": 128_000,
    "temporaries": 205_520_896,
    "workspace": 67_108_864,
    "reserved_unallocated": 0,
    "cuda_context": 430 * MIB,
}
COMPONENTS["reserved_unallocated"] = 6900 * MIB - sum(size for name, size in COMPONENTS.items() if name != "cuda_context")
DEVICE = sum(COMPONENTS.values())
MODULES = (
    ModuleShare(name="", bytes=6_600_000_000, components={"activations": 5_905_580_032}),
    ModuleShare(name="layer1", bytes=2_362_232_013, components={"activations": 2_360_000_000, "weights": 2_232_013}),
    ModuleShare(name="layer1.0", bytes=900_000_000, components={"activations": 900_000_000}),
    ModuleShare(name="layer2", bytes=1_503_238_554, components={"activations": 1_503_238_554}),
    ModuleShare(name="layer3", bytes=1_181_116_007, components={"activations": 1_181_116_007}),
    ModuleShare(name="layer4", bytes=600_000_000, components={"activations": 400_000_000, "weights": 200_000_000}),
    ModuleShare(name="bn1", bytes=411_041_792, components={"activations": 411_041_792}),
    ModuleShare(name="conv1", bytes=205_520_896, components={"activations": 205_520_896}),
)


def ladder(process: int, driver: int = 494 * MIB) -> tuple[Rung, ...]:
    """A ladder over a process of `process` bytes, on a card whose driver keeps `driver` bytes."""
    return (
        Rung(name="live", bytes=process - 600 * MIB, decides=False),
        Rung(name="allocated", bytes=process - 580 * MIB, decides=False),
        Rung(name="reserved", bytes=process - 430 * MIB, decides=False),
        Rung(name="process", bytes=process, decides=True),
        Rung(name="device", bytes=process + driver, decides=False),
    )


def fitting() -> Estimate:
    """ResNet-50 in training, on a card with much room."""
    return Estimate(
        vramcast="0.1.0",
        model=ModelSummary(name="resnet50", source="torchvision", parameters=25_557_032, trainable_parameters=25_557_032),
        workload=Workload.train(batch=64, image=224, precision="amp-fp16", backend="eager").as_dict(),
        preset={},
        gpu=CARD,
        peak=Peak(
            allocated_bytes=DEVICE - 580 * MIB, reserved_bytes=6900 * MIB, device_bytes=DEVICE, low_bytes=DEVICE - 300 * MIB,
            high_bytes=DEVICE + 310 * MIB, step=1, phase="backward", module="layer1.0.conv2", operator="convolution_backward",
        ),
        phases=(PhasePeak(name="steady step", allocated_bytes=DEVICE - 580 * MIB, reserved_bytes=6900 * MIB, device_bytes=DEVICE, binding=True),),
        components=COMPONENTS,
        ladder=ladder(DEVICE),
        modules=MODULES,
        operators=(OperatorShare(name="convolution", bytes=3_000_000_000), OperatorShare(name="native_batch_norm", bytes=2_900_000_000)),
        bytes_per_target=None,
        fits=True,
        headroom_bytes=CARD.usable_bytes - DEVICE,
        confidence=1.0, verdict="fits",
        calibration=Calibration(
            residuals="68 measured cases: convolutional networks, training; widened, too few are closer",
            cases=68, comparable=False, coverage=0.95,
        ),
        out_of_memory=None,
        caveats=(),
    )  # fmt: skip


def not_fitting() -> Estimate:
    """A detector's whole run with a preset, targets and caveats, on a card that is too small."""
    components = {**COMPONENTS, "activations": COMPONENTS["activations"] * 4, "ema": 102_442_388, "other": 4096, "staging": 9_000_000}
    device = sum(components.values())
    peak = msgspec.structs.replace(
        fitting().peak, device_bytes=device, reserved_bytes=device - 430 * MIB, allocated_bytes=device - 580 * MIB, low_bytes=device - 900 * MIB,
        high_bytes=device + 900 * MIB, module="model.22.cv3.0.0.1.conv", operator="silu_backward",
    )  # fmt: skip
    return msgspec.structs.replace(
        fitting(),
        model=ModelSummary(name="yolov8l", source="ultralytics", parameters=43_691_520, trainable_parameters=43_691_504),
        workload=Workload.train(
            backend="eager", batch=32, image=(640, 480), precision="amp-fp16", optimizer="nesterov", ema="gpu", accumulate=2, phases="run",
            freeze=("model.22.dfl*",), validation=Validation(batch=64, precision="fp16", uses_ema=True), habits=Habits(checkpoint_save="copies"),
        ).as_dict() | {"preset": "ultralytics"},
        preset={"ema": "gpu", "accumulate": 2, "habits": {"checkpoint_save": "copies"}},
        data=DataSummary(
            source="street/data.yaml", kind="yolo", samples=5000, objects=Spread(median=7, percentile_99=61, largest=240),
            heights=Spread(median=480, percentile_99=640, largest=1080), widths=Spread(median=640, percentile_99=640, largest=1920),
            lengths=None, mosaic=1.0, mixup=0.0, sets={"targets": 264}, chance_per_epoch=0.0104, objects_per_batch=48.2, objects_per_epoch=221.4,
            objects_at_most=960, largest=(NamedSample(name="images/train/0042.jpg", size=240), NamedSample(name="images/train/1311.jpg", size=180)),
            malformed=3, malformed_examples=("labels/train/0007.txt, line 2: class -1",), notes=(),
        ),
        peak=peak,
        components=components,
        ladder=ladder(device),
        phases=tuple(
            PhasePeak(name=name, allocated_bytes=size - 580 * MIB, reserved_bytes=size - 430 * MIB, device_bytes=size, binding=size == device)
            for name, size in (("load", 1200 * MIB), ("first step", device - 500 * MIB), ("steady step", device), ("validation", device // 3))
        ),
        modules=(
            ModuleShare(name="", bytes=device // 2, components={}),
            ModuleShare(name="model", bytes=device // 2, components={}),
            *(ModuleShare(name=f"model.{i}", bytes=device // (i + 3), components={"activations": device // (i + 3)}) for i in range(9)),
        ),
        bytes_per_target=3_355_443,
        fits=False,
        headroom_bytes=CARD.usable_bytes - device,
        confidence=0.0012, verdict="does not fit",
        calibration=Calibration(residuals="48 measured cases: YOLO networks, AMP training", cases=48, comparable=True, coverage=0.95),
        out_of_memory="128.00 MiB for convolution in model.2.cv1 (1st step, forward) cannot be had: 23.40 GiB of 23.52 GiB are in use",
        caveats=(
            CaveatNote(message="my_ops::fused_nms has no workspace rule", bound_bytes=134_217_728),
        ),
    )  # fmt: skip


def without_card() -> Estimate:
    """The same need as `fitting`, with no card named."""
    return msgspec.structs.replace(
        fitting(), gpu=None, fits=None, verdict=None, headroom_bytes=None, confidence=None, ladder=ladder(DEVICE, driver=0)
    )


ESTIMATES = {"fits": fitting, "does_not_fit": not_fitting, "no_card": without_card}


def goldens() -> dict[str, bytes]:
    """File name -> what it must hold."""
    texts = {
        f"{name}_{width}_{charset}.txt": render_plain(make(), width, glyphs).encode()
        for name, make in ESTIMATES.items()
        for width, charset, glyphs in ((100, "unicode", UNICODE), (80, "unicode", UNICODE), (40, "ascii", ASCII))
    }
    return texts | {f"{name}.json": encode(make()) for name, make in ESTIMATES.items()}


if __name__ == "__main__":
    for name, content in goldens().items():
        (GOLDEN / name).write_bytes(content)
