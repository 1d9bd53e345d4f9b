"""What becomes one kernel, on graphs made by hand; the expectations are what builders' lists of layers show."""

from __future__ import annotations

import pytest
from hand_made_graphs import GraphBuilder

from vramcast.backends.tensorrt.build import build
from vramcast.backends.tensorrt.layers import Engine
from vramcast.operator_graph import OperatorGraph
from vramcast.tensorrt_options import TensorRtOptions

AMPERE = (8, 6)


def engine(graph: OperatorGraph, precision: str = "fp32", capability: tuple[int, int] = AMPERE) -> Engine:
    return build(graph, precision, TensorRtOptions(), capability)  # type: ignore[arg-type]


def kernels(found: Engine) -> list[str]:
    """The operators of each layer, joined."""
    return ["+".join(layer.operators) for layer in found.layers]


def test_batch_norm_and_relu_become_part_of_a_convolution() -> None:
    builder = GraphBuilder()
    x = builder.convolution(builder.input(1, 3, 32, 32), 16, bias=False)
    found = engine(builder.build(builder.like("Relu", builder.batch_norm(x))))
    assert kernels(found) == ["Conv+BatchNormalization+Relu"]
    assert found.weight_bytes == (16 * 3 * 9 + 16) * 4, "the weights of batch normalization vanish into a bias"


def test_a_residual_sum_becomes_part_of_the_convolution_that_runs_last() -> None:
    builder = GraphBuilder()
    x = builder.like("Relu", builder.convolution(builder.input(1, 3, 32, 32), 16))
    long = builder.convolution(builder.like("Relu", builder.convolution(x, 16)), 16)
    short = builder.convolution(x, 16, kernel=1)
    found = engine(builder.build(builder.like("Relu", builder.like("Add", long, short))))
    assert kernels(found) == ["Conv+Relu", "Conv+Relu", "Conv", "Conv+Add+Relu"]
    assert found.layers[-1].nodes[0].name == "Conv4", "the short branch is there before the long one ends"


@pytest.mark.parametrize(
    ("precision", "capability", "expected"),
    [
        ("fp32", (8, 6), ["Conv", "Sigmoid+Mul", "Conv", "Sigmoid+Mul"]),
        ("fp16", (8, 6), ["Conv", "Sigmoid+Mul", "Conv+Sigmoid+Mul"]),
        ("fp16", (6, 1), ["Conv", "Sigmoid+Mul", "Conv", "Sigmoid+Mul"]),
    ],
)
def test_silu_becomes_part_of_half_precision_convolutions_but_the_first(precision: str, capability: tuple[int, int], expected: list[str]) -> None:
    builder = GraphBuilder()
    x = builder.silu(builder.convolution(builder.input(1, 3, 32, 32), 16))
    assert kernels(engine(builder.build(builder.silu(builder.convolution(x, 16))), precision, capability)) == expected


def test_convolutions_of_one_input_run_side_by_side() -> None:
    builder = GraphBuilder()
    x = builder.like("Relu", builder.convolution(builder.input(1, 3, 32, 32), 16))
    one, other = (builder.silu(builder.convolution(x, 8, kernel=1)) for _ in range(2))
    wide = builder.silu(builder.convolution(x, 8, kernel=3))
    found = engine(builder.build(one, other, wide), "fp16")
    assert kernels(found) == ["Conv+Relu", "Conv+Conv", "Conv+Sigmoid+Mul", "Sigmoid+Mul", "Sigmoid+Mul"]


def test_chains_of_pointwise_layers_are_one() -> None:
    builder = GraphBuilder()
    x = builder.input(1, 16, 32, 32)
    gelu = builder.like("Mul", x, builder.like("Add", builder.like("Erf", builder.like("Div", x, builder.constant(1))), builder.constant(1)))
    assert kernels(engine(builder.build(gelu))) == ["Div+Erf+Add+Mul"]


def attention(heads: int = 4, tokens: int = 256, size: int = 32) -> OperatorGraph:
    builder = GraphBuilder()
    query, key, value = (builder.input(1, heads, *shape) for shape in ((tokens, size), (size, tokens), (tokens, size)))
    scores = builder.node("MatMul", (query, key), 1, heads, tokens, tokens)
    shares = builder.like("Softmax", builder.like("Mul", scores, builder.constant(1)))
    return builder.build(builder.node("MatMul", (shares, value), 1, heads, tokens, size))


def test_attention_is_one_kernel_in_half_precision() -> None:
    assert kernels(engine(attention(), "fp16")) == ["MatMul+Mul+Softmax+MatMul"]
    found = engine(attention(), "fp32")
    assert found.activation_bytes == 2 * 4 * 256 * 256 * 4, "scores and shares, one after the other"


def test_shapes_and_constants_never_run() -> None:
    builder = GraphBuilder()
    x = builder.input(1, 16, 8, 8)
    shape = builder.node("Shape", (x,), 4, dtype="int64")
    target = builder.node("Concat", (shape, builder.constant(1, dtype="int64")), 5, dtype="int64")
    table = builder.like("Exp", builder.constant(1, 16, 8, 8))
    y = builder.like("Relu", builder.like("Add", builder.node("Reshape", (x, target), 1, 16, 64), table))
    found = engine(builder.build(y))
    assert kernels(found) == ["Add+Relu"]
    assert found.weight_bytes == 16 * 64 * 4


def test_quantized_tensors_are_held_in_bytes() -> None:
    builder = GraphBuilder()

    def quantized(x: str, *shape: int) -> str:
        scale = builder.constant(1)
        whole = builder.node("QuantizeLinear", (x, scale), *shape, dtype="int8")
        return str(builder.node("DequantizeLinear", (whole, scale), *shape))

    def convolution(x: str) -> str:
        weight = builder.node("DequantizeLinear", (builder.constant(32, 32, 3, 3, dtype="int8"), builder.constant(1)), 32, 32, 3, 3)
        y = builder.node("Conv", (x, weight, builder.constant(32)), 1, 32, 16, 16, kernel_shape=(3, 3))
        return quantized(builder.like("Relu", y), 1, 32, 16, 16)

    x = quantized(builder.input(1, 32, 16, 16), 1, 32, 16, 16)
    found = engine(builder.build(builder.like("Relu", convolution(convolution(x)))), "fp32")
    assert [name for name in kernels(found) if "Conv" in name] == ["Conv+Relu+QuantizeLinear"] * 2
    assert {span.size for block in found.blocks for span in block.spans} == {32 * 16 * 16}
    assert sum(weight.size for weight in found.weights if weight.size > 4) == 2 * (32 * 32 * 9 + 32 * 4)


def test_an_operator_without_a_rule_is_named() -> None:
    builder = GraphBuilder()
    x = builder.input(1, 16, 8, 8)
    assert engine(builder.build(builder.like("Relu", builder.like("BeyondOnnx", x)))).uncovered == {"BeyondOnnx": 1}
