"""cuDNN's convolutions: sizes by family of engine, copies of layout, and benchmark mode."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scratch_calls import BACKWARD, FORWARD, call, peak, tensor

from vramcast.trace import OperatorCall, TensorSpec
from vramcast.workspace.convolution_engines import fft_bytes, nonfused_winograd_bytes, tiled_fft_bytes, unfolded_bytes
from vramcast.workspace.convolution_shape import Direction, of_backward, of_forward
from vramcast.workspace.cudnn_convolution import ConvolutionRule
from vramcast.workspace.cudnn_parameters import Copies, default_parameters
from vramcast.workspace.stack import Stack

SHIPPED = default_parameters()
P = msgspec.structs.replace(
    SHIPPED,
    tf32=Copies(forward=1, input_gradient=1, weight_gradient=2),
    half_turing=Copies(forward=1, input_gradient=1, weight_gradient=1.5),
    half_ampere=Copies(forward=1, input_gradient=1, weight_gradient=1.5),
    shapes=msgspec.structs.replace(SHIPPED.shapes, pointwise=0, narrow_group=16),
)
"""What the rule makes of its parameters is tried with these, whatever a fit finds."""
RULE = ConvolutionRule(P)
CHANNELS_LAST = (0, 2, 3, 1)
VOLTA = replace(FORWARD, stack=Stack(compute_capability=(7, 0)))


def convolution(source: TensorSpec, weight: TensorSpec, **attributes: object) -> OperatorCall:
    defaults = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "transposed": False, "output_padding": (0, 0), "groups": 1}
    return call("convolution", source, weight, None, **defaults | attributes)


def gradient(source: TensorSpec, weight: TensorSpec, output: TensorSpec, **attributes: object) -> OperatorCall:
    forward = convolution(source, weight, **attributes)
    return call("convolution_backward", output, source, weight, **forward.attributes)


X, W = tensor(8, 64, 56, 56), tensor(64, 64, 3, 3)
X_BYTES = 8 * 64 * 56 * 56 * 4


def test_tf32_copies_channels_first_tensors() -> None:
    assert peak(RULE.forward(convolution(X, W), FORWARD)) == 2 * X_BYTES
    backward = RULE.backward(gradient(X, W, X), BACKWARD)
    assert peak(backward) == 4 * X_BYTES
    assert [one.size for one in backward if one.size] == [2 * X_BYTES, 4 * X_BYTES], "one workspace after the other"


def test_half_types_copy_less_for_the_gradient_of_the_weight() -> None:
    half, weight = replace(X, dtype="float16"), replace(W, dtype="float16")
    assert 2 * peak(RULE.backward(gradient(half, weight, half), BACKWARD)) == 3 * X_BYTES


def test_before_volta_half_types_run_on_tiled_fft() -> None:
    half, weight = replace(X, dtype="float16"), replace(W, dtype="float16")
    pascal = replace(FORWARD, stack=Stack(compute_capability=(6, 0)))
    tiles, frequencies = 2 * 2, 32 * 17
    assert peak(RULE.forward(convolution(half, weight), pascal)) == (8 * tiles * 128 + 64 * 64) * frequencies * 8
    strided = convolution(half, weight, stride=(2, 2))
    assert peak(RULE.forward(strided, pascal)) == peak(RULE.forward(strided, FORWARD)), "no FFT for strides"


def test_channels_last_half_types_need_nothing() -> None:
    source = tensor(8, 64, 56, 56, dtype="bfloat16", order=CHANNELS_LAST)
    weight = tensor(64, 64, 3, 3, dtype="bfloat16", order=CHANNELS_LAST)
    assert peak(RULE.forward(convolution(source, weight), FORWARD)) == 0
    assert peak(RULE.backward(gradient(source, weight, source), BACKWARD)) == 0


def test_pointwise_kernels_need_nothing() -> None:
    assert peak(RULE.forward(convolution(X, tensor(256, 64, 1, 1), padding=(0, 0)), FORWARD)) == 0


def test_few_channels_are_padded() -> None:
    image, weight = tensor(8, 3, 224, 224), tensor(64, 3, 7, 7)
    described = convolution(image, weight, stride=(2, 2), padding=(3, 3))
    assert peak(RULE.forward(described, FORWARD)) == 8 * 4 * (4 * 224 * 224 + 64 * 112 * 112)


def test_without_tensor_cores_winograd_serves_3x3_kernels() -> None:
    assert peak(RULE.forward(convolution(X, W), VOLTA)) == 16 * 64 * 64 * 4
    tiles = 8 * 14 * 14
    assert peak(RULE.backward(gradient(X, W, X), VOLTA)) == 36 * (tiles * 128 + 64 * 64) * 4
    assert peak(RULE.forward(convolution(X, tensor(64, 64, 5, 5), padding=(2, 2)), VOLTA)) == 0
    off = replace(FORWARD, stack=Stack(allow_tf32=False))
    assert RULE.forward(convolution(X, W), off) == RULE.forward(convolution(X, W), VOLTA)


def test_narrow_groups_need_nothing() -> None:
    narrow, wide = (convolution(X, tensor(64, channels, 3, 3), groups=64 // channels) for channels in (16, 32))
    assert peak(RULE.forward(narrow, FORWARD)) == 0
    assert peak(RULE.forward(wide, FORWARD)) == 2 * X_BYTES


def test_depthwise_kernels_need_nothing() -> None:
    assert peak(RULE.forward(convolution(X, tensor(64, 1, 3, 3), groups=64), FORWARD)) == 0


def test_torch_copies_what_is_not_in_the_layout() -> None:
    source = tensor(8, 64, 56, 56, order=CHANNELS_LAST)
    copies = [one for one in RULE.forward(convolution(source, W), FORWARD) if one.launch == 0 and one.size]
    assert [(one.size, one.after) for one in copies] == [(64 * 64 * 9 * 4, 1)], "the weight follows the input's layout"
    backward = RULE.backward(gradient(source, W, X), BACKWARD)
    assert backward[0].size == X_BYTES, "so does the gradient"


def test_only_what_is_asked_for_is_computed() -> None:
    first_layer = gradient(X, W, X, output_mask=(False, True, False))
    (weight_gradient,) = (one for one in RULE.backward(first_layer, BACKWARD) if one.size)
    assert (weight_gradient.size, weight_gradient.after, weight_gradient.until) == (4 * X_BYTES, 1, 1)


def test_transposed_convolutions_are_their_mirror_image() -> None:
    source, weight, output = tensor(8, 64, 28, 28), tensor(64, 32, 2, 2), tensor(8, 32, 56, 56)
    attributes = {"stride": (2, 2), "padding": (0, 0), "transposed": True}
    forward = of_forward(convolution(source, weight, **attributes))
    assert forward == of_backward(gradient(source, weight, output, **attributes))
    assert (forward.in_channels, forward.image, forward.out_channels, forward.output) == (32, (56, 56), 64, (28, 28))
    assert forward.direction(Direction.FORWARD) is Direction.INPUT_GRADIENT


def test_one_dimensional_convolutions() -> None:
    described = convolution(tensor(4, 16, 1000), tensor(32, 16, 5), stride=(2,), padding=(2,), dilation=(1,), output_padding=(0,))
    assert of_forward(described).output == (500,)
    assert peak(RULE.forward(described, FORWARD)) == 4 * 4 * (16 * 1000 + 32 * 500)


BENCHMARK = replace(FORWARD, stack=Stack(cudnn_benchmark=True))


def test_benchmark_tries_the_largest_plan_once_and_empties_the_cache() -> None:
    described = convolution(X, W)
    search, run = RULE.forward(described, BENCHMARK)
    shape = of_forward(described)
    candidates = [nonfused_winograd_bytes(shape, P), fft_bytes(shape), tiled_fft_bytes(shape, P.fft.tile), unfolded_bytes(shape, 1), run.size]
    assert search.size == max(candidates)
    assert search.empties_cache
    assert search.once is not None
    assert search.once == RULE.forward(convolution(X, W), BENCHMARK)[0].once
    assert search.once != RULE.forward(convolution(X, tensor(32, 64, 3, 3)), BENCHMARK)[0].once
    assert peak((search, run)) == search.size


def test_benchmark_leaves_out_plans_that_do_not_fit() -> None:
    described = convolution(X, W)
    full = RULE.forward(described, BENCHMARK)[0].size
    assert RULE.forward(described, replace(BENCHMARK, free_bytes=full - 1))[0].size < full


def test_parameters_can_be_varied() -> None:
    copies = msgspec.structs.replace(P.tf32, forward=0.5)
    rule = ConvolutionRule(msgspec.structs.replace(P, tf32=copies))
    assert peak(rule.forward(convolution(X, W), FORWARD)) == X_BYTES


@given(st.integers(1, 64), st.integers(1, 64), st.integers(7, 64), st.sampled_from([1, 3, 5]), st.sampled_from([FORWARD, VOLTA]))
def test_more_images_never_need_less(batch: int, channels: int, side: int, kernel: int, site: object) -> None:
    def needed(images: int) -> int:
        source, weight = tensor(images, channels, side, side), tensor(channels, channels, kernel, kernel)
        described = gradient(source, weight, source, padding=(kernel // 2, kernel // 2))
        return peak(RULE.backward(described, site))  # type: ignore[arg-type]

    assert 0 <= needed(batch) <= needed(batch + 1)


@pytest.mark.parametrize("name", ["tf32", "half_turing", "half_ampere", "shapes", "partial_sums", "winograd", "fft", "gemm"])
def test_the_parameter_file_is_complete(name: str) -> None:
    assert all(value >= 0 for value in msgspec.structs.asdict(getattr(P, name)).values())
