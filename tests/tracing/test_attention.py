"""Attention: the kernel CUDA would choose, and what each one allocates and saves."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as functional
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from vramcast.errors import ModelError
from vramcast.sources.dynamo import dynamo_postponed
from vramcast.trace import Event, Subject, Trace
from vramcast.tracing.attribution import attribute
from vramcast.tracing.cuda.attention import _math
from vramcast.tracing.cuda.attention_choice import AttentionCall, choose
from vramcast.tracing.tracer import Tracer

A100, A10, H100, T4, RTX_4090 = (8, 0), (8, 6), (9, 0), (7, 5), (8, 9)
FLASH, EFFICIENT, CUDNN, MATH = (
    SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.MATH
)  # fmt: skip


@pytest.fixture(autouse=True)
def without_dynamo() -> Iterator[None]:
    with dynamo_postponed():
        yield


def call(
    dtype: torch.dtype = torch.float16, head: int = 64, queries: int = 128, keys: int = 128, key_heads: int = 4, **fields: object
) -> AttentionCall:
    def tensor(heads: int, length: int) -> torch.Tensor:
        return torch.empty(2, heads, length, head, dtype=dtype, device="meta", requires_grad=True)

    return AttentionCall(tensor(4, queries), tensor(key_heads, keys), tensor(key_heads, keys), **fields)  # type: ignore[arg-type]


MASK = torch.empty(128, 128, device="meta", dtype=torch.float16)


@pytest.mark.parametrize(
    ("attention", "capability", "expected"),
    [
        (call(), A100, FLASH),
        (call(torch.bfloat16), A100, FLASH),
        (call(torch.float32), A100, EFFICIENT),
        (call(), T4, EFFICIENT),
        (call(torch.bfloat16), T4, MATH),
        (call(), H100, CUDNN),
        (call(torch.float32), H100, EFFICIENT),
        (call(head=256), H100, CUDNN),
        (call(head=80, queries=1, keys=1), H100, FLASH),
        (call(), RTX_4090, FLASH),
        (call(head=208), A10, EFFICIENT),
        (call(head=256), A10, FLASH),
        (call(head=256, dropout_p=0.1), A10, EFFICIENT),
        (call(head=208), A100, FLASH),
        (call(attn_mask=MASK), A100, EFFICIENT),
        (call(head=60), A100, FLASH),
        (call(head=60, attn_mask=MASK), A100, MATH),
        (call(torch.float32, head=30), A100, MATH),
        (call(queries=64, is_causal=True), A100, EFFICIENT),
        (call(key_heads=2, enable_gqa=True), A100, FLASH),
        (call(torch.float32, key_heads=2, enable_gqa=True), A100, MATH),
        (call(), (5, 2), EFFICIENT),
        (call(), (13, 0), MATH),
    ],
)
def test_choice(attention: AttentionCall, capability: tuple[int, int], expected: SDPBackend) -> None:
    assert choose(attention, capability) is expected


@pytest.mark.parametrize(
    ("attention", "capability", "torch_version", "expected"),
    [
        (call(), A100, (1, 13), MATH),
        (call(), A100, (2, 0), FLASH),
        (call(head=160), A100, (2, 1), EFFICIENT),
        (call(head=160), A100, (2, 2), FLASH),
        (call(attn_mask=MASK), A100, (2, 0), MATH),
        (call(attn_mask=MASK), A100, (2, 1), EFFICIENT),
        (call(), H100, (2, 4), FLASH),
        (call(), H100, (2, 13), CUDNN),
    ],
)
def test_older_versions_have_fewer_kernels(
    attention: AttentionCall, capability: tuple[int, int], torch_version: tuple[int, int], expected: SDPBackend
) -> None:
    assert choose(attention, capability, torch_version) is expected


def test_choice_follows_the_switches_of_torch() -> None:
    with sdpa_kernel(MATH):
        assert choose(call(), A100) is MATH
    with sdpa_kernel([EFFICIENT, FLASH], set_priority=True):
        assert choose(call(), A100) is EFFICIENT
    with sdpa_kernel(FLASH), pytest.raises(ModelError, match="math kernel"):
        choose(call(torch.float32), A100)


def test_a_mask_that_learns_is_not_for_cudnn() -> None:
    mask = torch.empty(1, 4, 128, 128, dtype=torch.float16, device="meta", requires_grad=True)
    assert choose(call(attn_mask=mask), H100) is EFFICIENT
    assert choose(call(attn_mask=mask.detach()), H100) is CUDNN


def run(program: Callable[[], torch.Tensor], capability: tuple[int, int]) -> Trace:
    with Tracer(capability=capability) as tracer:
        tracer.phase("forward", 0)
        output = program()
        tracer.phase("backward", 0)
        if output.requires_grad:
            output.sum().backward()
    trace = attribute(tracer.recording(), Subject("attention", "test", 0, 0))
    trace.validate()
    return trace


def sizes_of(trace: Trace, operator: str) -> list[int]:
    births = [event for event in range(len(trace)) if trace.kinds[event] == Event.ALLOCATE]
    return [
        int(trace.sizes[trace.blocks[e]]) for e in births if trace.operators[trace.operation_operators[trace.operations[e]]] == f"aten::{operator}"
    ]


def attend(dtype: torch.dtype = torch.float16, head: int = 64, requires_grad: bool = True, **arguments: object) -> torch.Tensor:
    query, key, value = (torch.empty(2, 4, 96, head, dtype=dtype, device="cuda", requires_grad=requires_grad) for _ in range(3))
    return functional.scaled_dot_product_attention(query, key, value, **arguments)  # type: ignore[arg-type]


ELEMENTS = 2 * 4 * 96 * 64
ROWS = 2 * 4 * 96
SCORES = ROWS * 96


def test_flash_saves_its_output_and_the_logarithm_of_its_sums() -> None:
    trace = run(attend, A100)
    assert sizes_of(trace, "_scaled_dot_product_flash_attention") == [ELEMENTS * 2, ROWS * 4, 16, 8]
    assert sizes_of(trace, "_scaled_dot_product_flash_attention_backward") == [ELEMENTS * 2] * 3


def test_flash_pads_the_head_to_a_multiple_of_eight() -> None:
    trace = run(lambda: attend(head=60), A100)
    assert sizes_of(trace, "constant_pad_nd")[:3] == [ELEMENTS * 2] * 3


def test_efficient_keeps_its_seeds_on_the_cpu() -> None:
    trace = run(lambda: attend(torch.float32, dropout_p=0.1), A100)
    assert sizes_of(trace, "_scaled_dot_product_efficient_attention") == [ELEMENTS * 4, ROWS * 4]
    assert sizes_of(trace, "_scaled_dot_product_efficient_attention_backward") == [ELEMENTS * 4] * 3


def test_without_gradients_nothing_is_kept_for_them() -> None:
    efficient = run(lambda: attend(torch.float32, requires_grad=False), A100)
    assert sizes_of(efficient, "_scaled_dot_product_efficient_attention") == [ELEMENTS * 4]
    cudnn = run(lambda: attend(requires_grad=False), H100)
    assert sizes_of(cudnn, "_scaled_dot_product_cudnn_attention") == [ELEMENTS * 2, 8, 8]


def test_cudnn_saves_statistics() -> None:
    trace = run(attend, H100)
    assert sizes_of(trace, "_scaled_dot_product_cudnn_attention") == [ELEMENTS * 2, ROWS * 4, 8, 8]


def test_a_boolean_mask_becomes_a_mask_to_add_of_its_own_size() -> None:
    trace = run(lambda: attend(attn_mask=torch.empty(96, 96, dtype=torch.bool, device="cuda")), A100)
    assert sizes_of(trace, "where") == [96 * 96 * 2]
    assert sizes_of(trace, "constant_pad_nd") == []


def test_a_mask_with_odd_strides_is_padded() -> None:
    def program() -> torch.Tensor:
        query = torch.empty(2, 4, 96, 64, dtype=torch.float16, device="cuda")
        key = torch.empty(2, 4, 91, 64, dtype=torch.float16, device="cuda")
        return functional.scaled_dot_product_attention(query, key, key, torch.empty(96, 91, dtype=torch.float16, device="cuda"))

    assert sizes_of(run(program, A100), "constant_pad_nd") == [96 * 96 * 2]


def test_math_holds_the_scores_in_fp32() -> None:
    trace = run(lambda: attend(torch.bfloat16, is_causal=True, dropout_p=0.1), T4)
    assert sizes_of(trace, "_safe_softmax") == [SCORES * 4, SCORES, ROWS]
    assert sizes_of(trace, "native_dropout") == [SCORES * 4, SCORES]
    assert sizes_of(trace, "add") == [], "the mask is added in place"


@pytest.mark.parametrize("arguments", [{}, {"is_causal": True}, {"scale": 0.3}, {"scale": -0.3}, {"enable_gqa": True}])
def test_math_computes_attention(arguments: dict[str, object]) -> None:
    key_heads = 2 if "enable_gqa" in arguments else 4
    torch.manual_seed(0)
    query = torch.randn(2, 4, 7, 8)
    key, value = torch.randn(2, key_heads, 7, 8), torch.randn(2, key_heads, 7, 8)
    expected = functional.scaled_dot_product_attention(query, key, value, **arguments)  # type: ignore[arg-type]
    torch.testing.assert_close(_math(AttentionCall(query, key, value, **arguments)), expected)  # type: ignore[arg-type]


def test_autocast_casts_first() -> None:
    def program() -> torch.Tensor:
        with torch.autocast("cuda", dtype=torch.bfloat16):
            return attend(torch.float32)

    trace = run(program, A100)
    assert sizes_of(trace, "_to_copy")[:3] == [ELEMENTS * 2] * 3
    assert sizes_of(trace, "_scaled_dot_product_flash_attention")[0] == ELEMENTS * 2


def test_cpu_tensors_are_left_alone() -> None:
    query = torch.zeros(1, 1, 4, 8)
    with Tracer(capability=A100):
        assert functional.scaled_dot_product_attention(query, query, query).shape == (1, 1, 4, 8)


@pytest.mark.parametrize("is_padded", [False, True])
def test_encoders_run_in_inference(is_padded: bool) -> None:
    with Tracer(capability=A100) as tracer, torch.no_grad():
        layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True, device="cuda")
        encoder = nn.TransformerEncoder(layer, 2).eval()
        mask = torch.zeros(2, 16, dtype=torch.bool, device="cuda") if is_padded else None
        output = encoder(torch.empty(2, 16, 64, device="cuda"), src_key_padding_mask=mask)
        assert output.shape == (2, 16, 64)
    trace = attribute(tracer.recording(), Subject("encoder", "test", 0, 0))
    assert len(sizes_of(trace, "_scaled_dot_product_efficient_attention")) == 2
