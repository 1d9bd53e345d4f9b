"""torchvision imports beside any torch; its operators have shapes and gradients on meta, and `nms` computes on the CPU."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vramcast.sources.torchvision_import import import_torchvision, prepare_import
from vramcast.sources.torchvision_operators import nms

BOX = st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(0, 10), st.integers(0, 10))


def greedy(boxes, scores, threshold):
    """The definition, one pair at a time."""
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(not overlap(boxes[i], boxes[j]) > threshold for j in kept):
            kept.append(i)
    return kept


def overlap(a, b):
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union else 0.0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(BOX, st.integers(0, 5)), max_size=25), st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]))
def test_nms_keeps_what_the_definition_keeps(drawn, threshold):
    boxes = [(float(x), float(y), float(x + w), float(y + h)) for (x, y, w, h), _ in drawn]
    scores = [float(score) for _, score in drawn]
    kept = nms(torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4), torch.tensor(scores, dtype=torch.float64), threshold)
    assert kept.dtype == torch.int64
    assert kept.tolist() == greedy(boxes, scores, threshold)


def test_torchvision_calls_it_and_batches_it():
    ops = import_torchvision().ops
    corners = torch.from_numpy(np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]], dtype=np.float32))
    scores = torch.tensor([0.5, 0.9, 0.1])
    assert ops.nms(corners, scores, 0.5).tolist() == [1, 2]
    assert ops.batched_nms(corners, scores, torch.tensor([0, 1, 0]), 0.5).tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("name", "size", "shape"),
    [("roi_align", 7, (5, 8, 7, 7)), ("roi_pool", 7, (5, 8, 7, 7)), ("ps_roi_align", 2, (5, 2, 2, 2)), ("ps_roi_pool", 2, (5, 2, 2, 2))],
)
def test_region_operators_have_shapes_and_gradients_on_meta(name, size, shape):
    image = torch.empty(2, 8, 32, 32, device="meta", requires_grad=True)
    pooled = getattr(import_torchvision().ops, name)(image, torch.empty(5, 5, device="meta"), size)
    assert pooled.shape == shape
    pooled.sum().backward()
    assert image.grad.shape == image.shape


def test_deformable_convolution_has_shapes_and_gradients_on_meta():
    layer = import_torchvision().ops.DeformConv2d(8, 4, 3, padding=1).to("meta")
    offset = torch.empty(2, 18, 32, 32, device="meta", requires_grad=True)
    out = layer(torch.empty(2, 8, 32, 32, device="meta"), offset)
    assert out.shape == (2, 4, 32, 32)
    out.sum().backward()
    assert (offset.grad.shape, layer.weight.grad.shape) == (offset.shape, layer.weight.shape)


def test_preparing_twice_leaves_one_finder():
    prepare_import()
    before = list(sys.meta_path)
    prepare_import()
    assert sys.meta_path == before


def test_the_import_is_light_and_what_it_left_out_comes_on_use():
    code = (
        "import sys; from vramcast.sources.torchvision_import import prepare_import; prepare_import()\n"
        "import torchvision\n"
        "print([name for name in ('torch._dynamo', 'torch._dynamo.utils', 'torchvision.datasets') if name in sys.modules])\n"
        "assert torchvision.datasets.folder.ImageFolder is torchvision.datasets.ImageFolder\n"
        "import torchvision.datasets.utils as utils; assert utils is torchvision.datasets.utils\n"
        "assert torchvision.ops.roi_align.__module__ == 'torchvision.ops.roi_align'\n"
        "assert not hasattr(torchvision, 'nothing')"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
