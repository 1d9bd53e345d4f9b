"""Full-size inference of three models through all four backends: what has to agree between them does, and the order is the one it must be."""

from __future__ import annotations

import dataclasses

import pytest
from torch import nn

import vramcast
from vramcast.sources.building import build_on_meta
from vramcast.sources.registry import find

BACKENDS = ("eager", "compile", "tensorrt", "onnxruntime")
BATCH, HALF = 8, 2
WEIGHTS_APART = 2e-3
"""Part by which weights may be off the closed form: small constants of a graph, and the alignment of each tensor."""
ANCHORS = 3 * (80 * 80 + 40 * 40 + 20 * 20)
"""Two coordinates and a stride for each cell of YOLO's three maps, which a graph at fixed sizes holds as constants."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A model and what torch.compile makes of it."""

    name: str
    pixels: int
    is_whole: bool
    """Whether dynamo captures it as one graph."""
    constants: int = 0
    """Values that exported graphs hold beside weights."""


CASES = [Case("torchvision:resnet50", 224, True), Case("torchvision:vit_b_16", 224, True), Case("ultralytics:yolo11n", 640, False, ANCHORS)]


def folded_parameters(module: nn.Module) -> int:
    """Count parameters as they are once each batch normalization has become the bias of its convolution."""
    norms = [found for found in module.modules() if isinstance(found, nn.BatchNorm2d)]
    return sum(parameter.numel() for parameter in module.parameters()) - sum(norm.weight.numel() for norm in norms)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.partition(":")[2])
def test_backends_agree(case: Case) -> None:
    answers = {
        backend: vramcast.estimate(case.name, vramcast.Workload.infer(batch=BATCH, precision="fp16", steps=1, backend=backend), gpu="t4")
        for backend in BACKENDS
    }
    components = {backend: answer.components for backend, answer in answers.items()}
    module = build_on_meta(find(case.name))

    # The same module lies on the card, compiled or not.
    assert components["compile"]["weights"] == components["eager"]["weights"]
    assert components["compile"]["buffers"] == components["eager"]["buffers"]
    assert components["eager"]["weights"] >= HALF * sum(parameter.numel() for parameter in module.parameters())
    # Static runtimes hold what is left after folding.
    for backend in ("tensorrt", "onnxruntime"):
        assert components[backend]["weights"] == pytest.approx(HALF * (folded_parameters(module) + case.constants), rel=WEIGHTS_APART)
    # A session holds its images in fp16 or fp32, at least as large as they are.
    images = BATCH * 3 * case.pixels**2 * HALF
    assert all(held["inputs"] >= images for held in components.values())

    # Fusion takes tensors away and adds none; so does a plan of all tensors beside an allocator that serves them one by one.
    peak = {backend: answer.peak.allocated_bytes for backend, answer in answers.items()}
    assert peak["compile"] < peak["eager"]
    assert peak["tensorrt"] < peak["onnxruntime"]
    told = " ".join(caveat.message for caveat in answers["compile"].caveats)
    assert ("splits the model" in told) != case.is_whole
    assert "uncompiled" not in told
