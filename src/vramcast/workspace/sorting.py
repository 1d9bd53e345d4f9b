"""Sorting, and the operators that sort: unique, gradients of embeddings and of indexing.

Sources, read at torch 2.10 to 2.13, all in aten/src/ATen/native/cuda: Sort.cpp (`sort_cuda_kernel`), Embedding.cu and
EmbeddingBackwardKernel.cu, Indexing.cu (`index_put_with_sort_kernel`), UniqueCub.cu. cub's radix sort works between two
buffers, so that it needs a copy of keys and values; its counters of a few KiB are left out, and with them `nonzero`,
`topk` and scans, which need nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from vramcast.trace import OperatorCall, TensorSpec
from vramcast.workspace.scratch import Scratch, Site
from vramcast.workspace.tensors import ITEM_BYTES, dense_bytes, elements, given, is_contiguous, item_bytes

INT64 = 8
_SORTED_IN_PLACE = 4096
"""Longest slice that is sorted without scratch (`should_use_small_sort`)."""
_EMBEDDED_WITHOUT_SORT = 3072
"""Most indices whose embedding gradient is summed without sorting them."""
_ROWS_PER_THREAD = 10
"""`NROWS_PER_THREAD`: rows summed into one partial sum."""


def sort(call: OperatorCall, site: Site) -> tuple[Scratch, ...]:
    """`sort`, `argsort`: the other buffer of keys and of indices; a copy of the input unless its slices are dense."""
    (source,) = given(call, 0)
    dim = _integer(call, "dim", -1)
    if not source.shape or source.shape[dim] <= _SORTED_IN_PLACE:
        return ()
    scratch = Scratch(_radix_bytes(source), after=2)
    return (scratch,) if source.stride[dim] == 1 else (Scratch(dense_bytes(source), after=2), scratch)


def unique(call: OperatorCall, site: Site) -> tuple[Scratch, ...]:
    """`_unique2`, `unique_dim`: sorted keys with where they came from, and the sort's other buffer."""
    (source,) = given(call, 0)
    sorted_pairs = dense_bytes(source) + elements(source) * INT64
    return Scratch(sorted_pairs), Scratch(_radix_bytes(source))


def embedding_backward(call: OperatorCall, site: Site) -> tuple[Scratch, ...]:
    """`embedding_dense_backward`: sorted indices, then one partial sum in fp32 per ten rows and per token that occurs.

    How many tokens occur depends on values; torch allocates for as many as there are indices, or words.
    """
    grad_output, indices = given(call, 0, 1)
    count = elements(indices)
    copies = () if is_contiguous(grad_output) else (Scratch(dense_bytes(grad_output), through=1),)
    if count <= _EMBEDDED_WITHOUT_SORT and not call.attributes.get("scale_grad_by_freq", False):
        return copies
    width = item_bytes(indices)
    kept = Scratch(2 * count * width, through=1)
    segments = min(count, _integer(call, "num_weights", count))
    partial_sums = (count // _ROWS_PER_THREAD + segments) * (grad_output.shape[-1] * max(4, item_bytes(grad_output)) + width)
    offsets = (count + 2 * segments) * width
    return *copies, kept, Scratch(3 * count * width, until=0), Scratch(offsets, after=1, launch=1), Scratch(partial_sums, after=1, launch=1)


def index_put(call: OperatorCall, site: Site) -> tuple[Scratch, ...]:
    """`index_put` with `accumulate`: linear, sorted and original indices with the sort's scratch, and dense values.

    In deterministic mode without it too, where there is more than one value (`_index_put_impl_`, aten/src/ATen/native/TensorAdvancedIndexing.cpp).
    """
    destination, *indices, values = (spec for spec in call.inputs if spec is not None)
    is_sorted = site.stack.deterministic and elements(values) > 1
    if not call.attributes.get("accumulate", False) and not is_sorted:
        return ()
    count = math.prod(_broadcast(index for index in indices if index.dtype not in ("bool", "uint8")))
    copies = [Scratch(dense_bytes(spec)) for spec in (destination, values) if not is_contiguous(spec)]
    return *copies, Scratch(3 * count * INT64), Scratch(3 * count * INT64)


def _radix_bytes(keys: TensorSpec) -> int:
    return elements(keys) * (ITEM_BYTES.get(keys.dtype, 4) + INT64)


def _broadcast(specs: Iterable[TensorSpec]) -> tuple[int, ...]:
    shape: list[int] = []
    for spec in specs:
        sizes = spec.shape[::-1]
        shape += [1] * (len(sizes) - len(shape))
        shape[: len(sizes)] = [max(old, new) for old, new in zip(shape, sizes)]
    return tuple(shape)


def _integer(call: OperatorCall, name: str, default: int) -> int:
    value = call.attributes.get(name, default)
    return value if isinstance(value, int) else default
