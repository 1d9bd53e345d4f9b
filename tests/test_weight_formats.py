"""Packed weights: bytes by closed forms, by the library's own table, and by the sizes of published files."""

from __future__ import annotations

import math

import gguf
import pytest

from vramcast.errors import UnknownNameError, WorkloadError
from vramcast.gguf_types import GGUF_BLOCKS, GgufTensor, gguf_bytes, gguf_type
from vramcast.weight_formats import FORMATS, PACKED, WeightFormat

_BYTES = {"uint8": 1, "int8": 1, "int16": 2, "int32": 4, "float16": 2, "float32": 4, "float8_e4m3fn": 1}


def bits_per_weight(form: str, outputs: int = 4096, inputs: int = 11008) -> float:
    packed = WeightFormat.parse(form).packed(outputs, inputs)
    return sum(math.prod(tensor.shape) * _BYTES[tensor.dtype] for tensor in packed) * 8 / (outputs * inputs)


@pytest.mark.parametrize(
    ("form", "bits"),
    [
        ("int8", 8 + 32 / 11008),
        ("int4-nf4", 4 + 32 / 64),
        ("int4-nf4:128", 4 + 32 / 128),
        ("int4-nf4-double", 4 + 8 / 64 + 32 / (64 * 256)),
        ("int4-gptq-exllama", 4 + (16 + 4) / 128 + 32 / 4096),
        ("int4-gptq", 4 + (16 + 4) / 128 + (32 + 2 * 16) / 4096),
        ("int4-gptq-exllama:32", 4 + (16 + 4) / 32 + 32 / 4096),
        ("int4-awq", 4 + (16 + 4) / 128),
        ("fp8", 8),
    ],
)
def test_bits_per_weight(form: str, bits: float) -> None:
    assert bits_per_weight(form) == pytest.approx(bits, rel=1e-4)


def test_every_format_can_be_named() -> None:
    for name in FORMATS:
        assert WeightFormat.parse(name).name == name.partition(":")[0]


@pytest.mark.parametrize("text", ["int5", "gguf", "gguf:Q9", "", "int4_nf4"])
def test_an_unknown_format_names_the_legal_ones(text: str) -> None:
    with pytest.raises(UnknownNameError, match="Legal: "):
        WeightFormat.parse(text)


@pytest.mark.parametrize("text", ["int4-nf4:63", "int8:64", "int4-gptq:0", "int4-gptq:1e3", "fp8:128"])
def test_an_illegal_group_size_is_refused(text: str) -> None:
    with pytest.raises(WorkloadError, match="group size"):
        WeightFormat.parse(text)


@pytest.mark.parametrize("name", PACKED)
def test_a_layer_that_does_not_divide_is_not_taken(name: str) -> None:
    odd_is_fine = name in ("int8", "int4-nf4", "int4-nf4-double")
    assert WeightFormat.parse(name).takes(33, 127) == odd_is_fine


def test_block_sizes_are_those_of_gguf() -> None:
    for name, block in GGUF_BLOCKS.items():
        assert gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]] == block


def llama_2_7b(mixture: str) -> int:
    """Bytes of all tensors of Llama-2-7B; norms stay fp32."""
    total = (32 * 2 + 1) * 4096 * 4
    shapes = {"attn_q": (4096, 4096), "attn_k": (4096, 4096), "attn_v": (4096, 4096), "attn_output": (4096, 4096),
              "ffn_gate": (11008, 4096), "ffn_up": (11008, 4096), "ffn_down": (4096, 11008)}  # fmt: skip
    for role, (rows, columns) in shapes.items():
        total += sum(gguf_bytes(gguf_type(mixture, GgufTensor(role, columns, layer, 32)), rows, columns) for layer in range(32))
    return total + sum(gguf_bytes(gguf_type(mixture, GgufTensor(role, 4096)), 32000, 4096) for role in ("output", "token_embd"))


def test_published_files_differ_from_their_tensors_by_one_and_the_same_header() -> None:
    """llama-2-7b.Q4_K_M.gguf has 4,081,004,224 bytes and llama-2-7b.Q5_K_M.gguf 4,783,156,928 (TheBloke/Llama-2-7B-GGUF); both have the same
    keys, names and vocabulary of 32,000 tokens before the tensors."""
    headers = {4_081_004_224 - llama_2_7b("Q4_K_M"), 4_783_156_928 - llama_2_7b("Q5_K_M")}
    assert len(headers) == 1
    assert 32_000 * 16 < headers.pop() < 32_000 * 32, "a token takes its text, a score of 4 bytes, a type of 4 and a length of 8"


def test_rows_that_do_not_divide_fall_back() -> None:
    assert gguf_type("Q4_K_M", GgufTensor("ffn_up", 4096 + 32)) == "Q5_0"
    assert gguf_type("Q6_K", GgufTensor("ffn_up", 100)) == "F16"
