"""What is worked out without torch's shape functions is what they say."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from vramcast.tracing.plans import plan_of
from vramcast.tracing.shortcuts import is_plain_write, shortcut

aten = torch.ops.aten


def _meta(*shape: int, layout: torch.memory_format = torch.contiguous_format, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(shape, device="meta", dtype=dtype, memory_format=layout)


def _convolution(image: torch.Tensor, weight: torch.Tensor, stride: int, padding: int, dilation: int, groups: int) -> tuple[Any, ...]:
    dims = image.dim() - 2
    return (image, weight, None, [stride] * dims, [padding] * dims, [dilation] * dims, False, [0] * dims, groups)


CONVOLUTIONS = [
    _convolution(_meta(2, 3, 224, 224), _meta(64, 3, 7, 7), 2, 3, 1, 1),
    _convolution(_meta(2, 8, 15, 17), _meta(16, 4, 3, 3), 1, 1, 2, 2),
    _convolution(_meta(2, 8, 16, 16), _meta(8, 1, 3, 3), 2, 1, 1, 8),
    _convolution(_meta(2, 8, 31, dtype=torch.float16), _meta(4, 8, 5, dtype=torch.float16), 3, 0, 1, 1),
    _convolution(_meta(1, 3, 8, 16, 16), _meta(4, 3, 3, 3, 3), 1, 1, 1, 1),
]


@pytest.mark.parametrize("args", CONVOLUTIONS)
def test_convolutions(args: tuple[Any, ...]) -> None:
    assert shortcut(aten.convolution.default, args, {}) == plan_of(aten.convolution.default(*args))


def test_a_convolution_that_does_not_fit_is_left_to_torch() -> None:
    assert shortcut(aten.convolution.default, _convolution(_meta(2, 3, 8, 8), _meta(4, 5, 3, 3), 1, 1, 1, 1), {}) is None
    assert shortcut(aten.convolution.default, _convolution(_meta(2, 3, 2, 2), _meta(4, 3, 5, 5), 1, 0, 1, 1), {}) is None


@pytest.mark.parametrize("wanted", [[True, True, True], [False, True, False]])
def test_gradients_of_convolutions(wanted: list[bool]) -> None:
    image, weight = _meta(2, 8, 16, 16), _meta(4, 8, 3, 3)
    args = (_meta(2, 4, 16, 16), image, weight, [4], [1, 1], [1, 1], [1, 1], False, [0, 0], 1, wanted)
    assert shortcut(aten.convolution_backward.default, args, {}) == plan_of(aten.convolution_backward.default(*args))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_batch_norms(layout: torch.memory_format) -> None:
    image, channel = _meta(2, 8, 4, 4, layout=layout), _meta(8)
    forward = (image, channel, channel, channel, channel, True, 0.1, 1e-5)
    assert shortcut(aten.native_batch_norm.default, forward, {}) == plan_of(aten.native_batch_norm.default(*forward))
    backward = (image, image, channel, channel, channel, channel, channel, True, 1e-5, [True, True, True])
    assert shortcut(aten.native_batch_norm_backward.default, backward, {}) == plan_of(aten.native_batch_norm_backward.default(*backward))


def test_elementwise_operators_on_tensors_that_agree() -> None:
    first, second = _meta(2, 3, 4), _meta(2, 3, 4)
    assert shortcut(aten.add.Tensor, (first, second), {}) == plan_of(first + second)
    assert shortcut(aten.add.Tensor, (first, _meta(3, 4)), {}) is None
    assert shortcut(aten.add.Tensor, (first, _meta(2, 3, 4, dtype=torch.float16)), {}) is None
    assert shortcut(aten._foreach_sqrt.default, ([first, _meta(5)],), {}) == [plan_of(first), plan_of(_meta(5))]


def test_writes_that_cannot_fail_need_no_check() -> None:
    tensor = _meta(2, 3)
    assert is_plain_write(aten.add_.Tensor, (tensor, _meta(2, 3)))
    assert is_plain_write(aten.normal_.default, (tensor,))
    assert not is_plain_write(aten.add_.Tensor, (tensor, _meta(3)))
