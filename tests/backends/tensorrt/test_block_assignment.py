"""The plan: its laws, and a total that a builder wrote."""

from __future__ import annotations

from hand_made_graphs import mnist
from hypothesis import given
from hypothesis import strategies as st
from test_fusion import engine

from vramcast.backends.tensorrt.block_assignment import assign, live_bytes
from vramcast.backends.tensorrt.layers import Span


@st.composite
def spans(draw: st.DrawFn) -> list[Span]:
    """Draw tensors of a program of up to 40 steps."""
    found = []
    for index in range(draw(st.integers(1, 30))):
        born = draw(st.integers(0, 39))
        found.append(Span(f"t{index}", 512 * draw(st.integers(1, 100)), born, draw(st.integers(born, 39)), "", "Conv"))
    return found


@given(spans())
def test_no_two_tensors_of_a_block_are_needed_at_once(drawn: list[Span]) -> None:
    blocks = assign(drawn)
    assert sorted(span.name for block in blocks for span in block.spans) == sorted(span.name for span in drawn)
    for block in blocks:
        assert block.size == max(span.size for span in block.spans)
        for index, span in enumerate(block.spans):
            assert not any(span.overlaps(other) for other in block.spans[index + 1 :])


@given(spans())
def test_a_plan_is_no_smaller_than_what_is_live_and_no_larger_than_all(drawn: list[Span]) -> None:
    total = sum(block.size for block in assign(drawn))
    assert live_bytes(drawn) <= total <= sum(span.size for span in drawn)


@given(spans())
def test_each_block_is_needed(drawn: list[Span]) -> None:
    blocks = assign(drawn)
    for index, block in enumerate(blocks[1:], 1):
        first = block.spans[0]
        assert all(any(first.overlaps(other) for other in earlier.spans) for earlier in blocks[:index])


def test_the_sample_of_mnist_takes_what_its_builder_said() -> None:
    # sampleOnnxMNIST, TensorRT 10: "to assign 2 blocks to 4 nodes requiring 31744 bytes"
    found = engine(mnist(), "fp32", (6, 1))
    assert (len(found.blocks), found.tensors, found.activation_bytes) == (2, 4, 31_744)
