"""Views, slices and concatenations: which of them take memory."""

from __future__ import annotations

from hand_made_graphs import GraphBuilder
from test_fusion import engine


def sizes(found) -> dict[str, int]:  # type: ignore[no-untyped-def]
    return {span.name: span.size for block in found.blocks for span in block.spans}


def test_what_only_a_concatenation_reads_is_written_straight_into_it() -> None:
    builder = GraphBuilder()
    x = builder.input(1, 16, 32, 32)
    parts = tuple(builder.like("Relu", builder.convolution(x, 16, kernel=kernel)) for kernel in (1, 3))
    joint = builder.node("Concat", parts, 1, 32, 32, 32, axis=1)
    assert sizes(engine(builder.build(builder.convolution(joint, 8)))) == {joint: 32 * 32 * 32 * 4}


def test_what_others_read_too_is_copied() -> None:
    builder = GraphBuilder()
    x = builder.input(1, 16, 32, 32)
    one = builder.like("Relu", builder.convolution(x, 16, kernel=1))
    other = builder.like("Relu", builder.convolution(one, 16))
    joint = builder.node("Concat", (one, other), 1, 32, 32, 32, axis=1)
    assert sizes(engine(builder.build(builder.convolution(joint, 8)))) == {one: 16 * 32 * 32 * 4, joint: 32 * 32 * 32 * 4}


def test_slices_and_views_take_nothing() -> None:
    builder = GraphBuilder()
    x = builder.like("Relu", builder.convolution(builder.input(1, 16, 32, 32), 16))
    halves = builder.node("Split", (x,), 1, 8, 32, 32, outputs=2, axis=1)
    y = builder.convolution(halves[1], 8)
    flat = builder.node("Reshape", (y, builder.constant(2, dtype="int64")), 1, 8 * 32 * 32)
    assert sizes(engine(builder.build(builder.like("Exp", flat)))) == {x: 16 * 32 * 32 * 4, y: 8 * 32 * 32 * 4}


def test_channels_are_padded_to_what_tensor_cores_read() -> None:
    builder = GraphBuilder()
    x = builder.like("Relu", builder.convolution(builder.input(1, 3, 32, 32), 12))
    graph = builder.build(builder.like("Exp", builder.convolution(x, 16)))
    assert sizes(engine(graph, "fp16"))[x] == 16 * 32 * 32 * 2
    assert sizes(engine(graph, "fp16", (6, 1)))[x] == 12 * 32 * 32 * 2
    assert sizes(engine(graph, "fp16"))["input0"] == 4 * 32 * 32 * 2, "the image, reformatted"
