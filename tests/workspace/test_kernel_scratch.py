"""Rules of cuBLAS, attention, RNNs, sorting and detection against figures worked out from their sources."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scratch_calls import BACKWARD, FORWARD, call, peak, sizes, tensor

from vramcast.workspace import attention, cublas, detection, rnn, sorting
from vramcast.workspace.efficient_tiles import tile_of
from vramcast.workspace.flash_splits import splits_of
from vramcast.workspace.rules import RULES
from vramcast.workspace.stack import Stack

MM = call("mm", tensor(4, 4), tensor(4, 4))


@pytest.mark.parametrize(
    ("capability", "version", "expected"),
    [
        ((8, 0), (2, 13), 8_519_680), ((9, 0), (2, 13), 33_554_432), ((10, 0), (2, 13), 33_554_432), ((12, 0), (2, 11), 33_554_432),
        ((12, 0), (2, 10), 8_519_680), ((11, 0), (2, 13), 8_519_680), ((11, 0), (2, 14), 33_554_432),
    ],
)  # fmt: skip
def test_cublas_sizes(capability: tuple[int, int], version: tuple[int, int], expected: int) -> None:
    assert cublas.workspace_bytes(Stack(compute_capability=capability, torch_version=version)) == expected


def test_each_thread_keeps_one_cublas_workspace() -> None:
    (forward,), (backward,) = cublas.gemm(MM, FORWARD), cublas.gemm(MM, BACKWARD)
    assert forward.stays
    assert backward.stays
    assert forward.once != backward.once


def test_newer_torch_keeps_no_cublas_workspace() -> None:
    (scratch,) = cublas.gemm(MM, replace(FORWARD, stack=Stack(torch_version=(2, 15))))
    assert not scratch.stays
    assert scratch.once is None


QUERY = (2, 8, 1000, 80)


def attention_call(operator: str, dtype: str = "float16", key_heads: int = 8, order: tuple[int, ...] = (0, 2, 1, 3)) -> object:
    query, key = tensor(*QUERY, dtype=dtype, order=order), tensor(2, key_heads, 1000, 80, dtype=dtype, order=order)
    return call(operator, query, query, key, key, query, tensor(2, 8, 1000), dropout_p=0.0)


def test_flash_backward_accumulates_the_query_in_fp32() -> None:
    rows = 2 * 8 * 1024
    assert sizes(attention.flash_backward, attention_call("b")) == [rows * 4, rows * 96 * 4]


def test_flash_backward_copies_what_is_not_dense_by_token() -> None:
    elements = 2 * 8 * 1000 * 80
    assert sizes(attention.flash_backward, attention_call("b", order=(0, 1, 2, 3)))[:2] == [elements * 2] * 2


def test_flash_backward_expands_shared_keys() -> None:
    elements = 2 * 8 * 1000 * 80
    assert sizes(attention.flash_backward, attention_call("b", key_heads=2))[-2:] == [elements * 2] * 2


@pytest.mark.parametrize(
    ("batch", "heads", "queries", "keys", "head", "expected"),
    [(1, 32, 1, 8192, 128, 6), (1, 8, 1, 128, 64, 1), (64, 32, 1, 8192, 128, 1), (1, 1, 1, 100_000, 128, 98)],
)
def test_flash_splits(batch: int, heads: int, queries: int, keys: int, head: int, expected: int) -> None:
    splits = splits_of(tensor(batch, heads, queries, head), tensor(batch, heads, keys, head), sm_count=108)
    assert splits == expected


def test_flash_forward_holds_partial_outputs() -> None:
    query, key = tensor(1, 32, 1, 128, dtype="float16"), tensor(1, 32, 8192, 128, dtype="float16")
    assert sizes(attention.flash_forward, call("f", query, key, key, dropout_p=0.0)) == [6 * 32 * 4, 6 * 32 * 128 * 4]
    assert sizes(attention.flash_forward, call("f", query, key, key, dropout_p=0.1)) == []


@pytest.mark.parametrize(
    ("dtype", "head", "capability", "queries", "keys", "accumulates_keys"),
    [
        ("float16", 64, (8, 0), 64, 64, False), ("bfloat16", 96, (8, 0), 128, 128, False), ("float16", 160, (8, 0), 128, 64, True),
        ("float32", 64, (8, 0), 64, 64, False), ("float32", 128, (8, 0), 128, 64, False), ("float32", 128, (7, 5), 64, 64, False),
        ("float16", 128, (7, 5), 128, 64, False), ("float16", 128, (6, 1), 64, 64, True),
    ],
)  # fmt: skip
def test_efficient_tiles(dtype: str, head: int, capability: tuple[int, int], queries: int, keys: int, accumulates_keys: bool) -> None:
    tile = tile_of(dtype, head, capability)
    assert (tile.queries, tile.keys, tile.accumulates_keys) == (queries, keys, accumulates_keys)


def test_efficient_backward_in_fp32_computes_delta_beforehand() -> None:
    scratch = attention.efficient_backward(attention_call("b", "float32"), BACKWARD)
    elements, rows, accumulator = 2 * 8 * 1000 * 80 * 4, 2 * 8 * 1000 * 4, 2 * 8 * 4 * (-(-1000 // 128) * 2 * (128 * 64 + 4))
    assert [one.size for one in scratch] == [elements, rows, rows, accumulator]
    assert peak(scratch) == max(elements + rows, rows + accumulator)


def test_efficient_backward_of_large_heads_accumulates_keys() -> None:
    spec = tensor(1, 4, 256, 160, dtype="float16", order=(0, 2, 1, 3))
    scratch = sizes(attention.efficient_backward, call("b", spec, spec, spec, spec, None, spec))
    queries = (256 // 128) * 3 * (128 * 64 + 4)
    keys = 4 * 64 * (256 + 256)
    assert scratch == [4 * 256 * 4, 4 * (queries + keys) * 4]


@pytest.mark.parametrize(("kind", "gates", "published"), [(2, 4, 17_730_560), (3, 3, 13_169_920)])
def test_rnn_workspace_meets_the_published_figures(kind: int, gates: int, published: int) -> None:
    hidden, inputs = 320, 123
    weights = []
    for layer in range(4):
        weights += [tensor(gates * hidden, inputs if layer == 0 else hidden), tensor(gates * hidden, hidden)]
        weights += [tensor(gates * hidden), tensor(gates * hidden)]
    state = tensor(4, 100, hidden)
    described = call("_cudnn_rnn", tensor(250, 100, inputs), *weights, tensor(0), state, state, hidden_size=hidden, mode=kind, batch_first=False)
    assert sizes(rnn.forward, described) == [published]
    assert peak(rnn.backward(described, BACKWARD)) == published


def test_short_slices_are_sorted_in_place() -> None:
    assert sizes(sorting.sort, call("sort", tensor(8, 4096), dim=-1)) == []
    assert sizes(sorting.sort, call("sort", tensor(8, 4097), dim=-1)) == [8 * 4097 * 12]
    assert sizes(sorting.sort, call("sort", tensor(5000, 8), dim=0)) == [5000 * 8 * 4, 5000 * 8 * 12]


def test_embedding_backward_sorts_many_indices() -> None:
    few = call("e", tensor(3072, 64), tensor(3072, dtype="int64"), num_weights=50_000)
    assert sizes(sorting.embedding_backward, few) == []
    many = call("e", tensor(8000, 64), tensor(8000, dtype="int64"), num_weights=100)
    partial_sums = 8000 // 10 + 100
    expected = [2 * 8000 * 8, 3 * 8000 * 8, (8000 + 200) * 8, partial_sums * (64 * 4 + 8)]
    assert sizes(sorting.embedding_backward, many) == expected
    assert peak(sorting.embedding_backward(many, BACKWARD)) == max(expected[0] + expected[1], expected[0] + expected[2] + expected[3])


def test_index_put_sorts_only_to_accumulate() -> None:
    inputs = tensor(100, 16), tensor(50, dtype="int64"), tensor(7, 1, dtype="int64"), tensor(7, 50, 16)
    assert sizes(sorting.index_put, call("index_put_", *inputs, accumulate=False)) == []
    assert sizes(sorting.index_put, call("index_put_", *inputs, accumulate=True)) == [3 * 350 * 8] * 2


def test_nms_holds_a_bit_per_pair() -> None:
    assert sizes(detection.nms, call("nms", tensor(1000, 4), tensor(1000))) == [4000, 8000, 16_000, 1000 * 16 * 8]
    assert sizes(detection.nms, call("nms", tensor(0, 4), tensor(0))) == []


def test_the_table_names_operators_without_namespace() -> None:
    assert not [name for name in RULES if ":" in name or "." in name]
    assert {"mm", "convolution", "convolution_backward", "_cudnn_rnn", "nms"} <= set(RULES)


DETERMINISTIC = replace(BACKWARD, stack=Stack(deterministic=True))


def test_deterministic_flash_backward_has_an_accumulator_for_each_split() -> None:
    """`nsplits` of `mha_bwd`: multiprocessors over batch times heads, rounded up; 108 over 16 on an A100."""
    rows = 2 * 8 * 1024
    assert sizes(attention.flash_backward, attention_call("b"), DETERMINISTIC) == [rows * 4, 7 * rows * 96 * 4]


def test_deterministic_efficient_backward_does_not_split_keys() -> None:
    spec = tensor(1, 4, 256, 160, dtype="float16", order=(0, 2, 1, 3))
    scratch = sizes(attention.efficient_backward, call("b", spec, spec, spec, spec, None, spec), DETERMINISTIC)
    assert scratch == [4 * 256 * 4, 4 * ((256 // 128) * 3 * (128 * 64 + 4) + 1 * 64 * (256 + 256)) * 4]


def test_deterministic_index_put_always_sorts() -> None:
    inputs = tensor(100, 16), tensor(50, dtype="int64"), tensor(7, 1, dtype="int64"), tensor(7, 50, 16)
    assert sizes(sorting.index_put, call("index_put_", *inputs, accumulate=False), DETERMINISTIC) == [3 * 350 * 8] * 2
    assert sizes(sorting.index_put, call("index_put_", *inputs[:3], tensor(1), accumulate=False), DETERMINISTIC) == [], "one value needs no order"
