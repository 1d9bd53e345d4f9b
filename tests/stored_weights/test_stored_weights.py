"""Headers of files of weights: what they say, and what is made of headers that lie."""

from __future__ import annotations

import json
import resource
import struct
import time
from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors.numpy import save_file

import vramcast
from vramcast.errors import InvalidFileError
from vramcast.stored_weights import read_weights

LAYERS, WIDTH, WIDE, VOCABULARY = 2, 256, 512, 1000


def write_gguf(path: Path, architecture: str = "llama") -> Path:
    """A tiny language model in blocks of zeros, as llama.cpp writes one."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(LAYERS)
    writer.add_context_length(2048)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(WIDE)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // 4)
    writer.add_token_list([f"token {number}" for number in range(VOCABULARY)])
    shapes = {"token_embd.weight": (VOCABULARY, WIDTH), "output.weight": (VOCABULARY, WIDTH), "output_norm.weight": (WIDTH,)}
    for layer in range(LAYERS):
        block = {
            "attn_q": (WIDTH, WIDTH), "attn_k": (WIDTH // 2, WIDTH), "attn_v": (WIDTH // 2, WIDTH), "attn_output": (WIDTH, WIDTH),
            "ffn_gate": (WIDE, WIDTH), "ffn_up": (WIDE, WIDTH), "ffn_down": (WIDTH, WIDE), "attn_norm": (WIDTH,), "ffn_norm": (WIDTH,),
        }  # fmt: skip
        shapes |= {f"blk.{layer}.{name}.weight": shape for name, shape in block.items()}
    for name, shape in shapes.items():
        kind = gguf.GGMLQuantizationType.F32 if len(shape) == 1 else gguf.GGMLQuantizationType.Q4_K
        stored = gguf.quant_shape_to_byte_shape(shape, kind) if len(shape) == 2 else shape
        writer.add_tensor(name, np.zeros(stored, np.uint8 if len(shape) == 2 else np.float32), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def matrix_bytes() -> int:
    """Q4_K: 144 bytes for 256 values."""
    layer = 2 * WIDTH * WIDTH + 2 * (WIDTH // 2) * WIDTH + 3 * WIDE * WIDTH
    return (2 * VOCABULARY * WIDTH + LAYERS * layer) // 256 * 144


def test_a_gguf_header_is_read_as_gguf_reads_it(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf")
    stored, theirs = read_weights(path), gguf.GGUFReader(path)
    assert {tensor.name: (tensor.kind, tensor.size) for tensor in stored.tensors} == {
        tensor.name: (tensor.tensor_type.name, tensor.n_bytes) for tensor in theirs.tensors
    }
    assert stored.settings["llama.block_count"] == LAYERS
    assert stored.settings["tokenizer.ggml.tokens"] == VOCABULARY


def test_a_gguf_file_is_a_whole_model(tmp_path: Path) -> None:
    answer = vramcast.estimate(str(write_gguf(tmp_path / "tiny.gguf")), vramcast.Workload.infer(precision="bf16", seq=16))
    weights = answer.trace.sizes[answer.trace.components == vramcast.Component.WEIGHTS].sum()
    assert weights == matrix_bytes() + (2 * LAYERS + 1) * WIDTH * 2, "norms are computed in the module's type"
    assert answer.model.parameters == matrix_bytes() // 144 * 256 + (2 * LAYERS + 1) * WIDTH


def test_an_unknown_architecture_is_forecast_for_its_weights(tmp_path: Path) -> None:
    answer = vramcast.estimate(str(write_gguf(tmp_path / "odd.gguf", "grok")), vramcast.Workload.infer())
    assert int(answer.trace.sizes.sum()) == matrix_bytes() + (2 * LAYERS + 1) * WIDTH * 4
    assert answer.fits is None
    assert answer.confidence is None
    assert "no model" in answer.caveats[0].message


def test_safetensors_without_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a": np.zeros((3, 5), np.float16), "b": np.zeros(7, np.int8)}, path)
    answer = vramcast.estimate(str(path), vramcast.Workload.infer())
    assert answer.trace.sizes.tolist() == [30, 7]


def test_an_index_counts_all_its_files(tmp_path: Path) -> None:
    for number in range(2):
        save_file({f"layer{number}": np.zeros(64, np.float32)}, tmp_path / f"model-{number}.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {f"layer{number}": f"model-{number}.safetensors" for number in range(2)}}))
    assert [tensor.size for tensor in read_weights(index).tensors] == [256, 256]


@pytest.mark.parametrize("name", ["../model.safetensors", "/etc/passwd", "sub/model.safetensors"])
def test_an_index_may_not_leave_its_folder(tmp_path: Path, name: str) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(InvalidFileError, match="beside it"):
        read_weights(index)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"weight_map": 3}', "[" * 10**5])
def test_a_broken_index(tmp_path: Path, text: str) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(text)
    with pytest.raises(InvalidFileError):
        read_weights(index)


def test_a_checkpoint_that_says_how_it_is_packed(tmp_path: Path) -> None:
    settings = {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2,
        "num_attention_heads": 4, "vocab_size": 1000, "quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 64},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(settings))
    answer = vramcast.estimate(str(tmp_path), vramcast.Workload.infer(precision="fp16", seq=16))
    layers = 2 * (4 * 256 * 256 + 3 * 256 * 512)
    packed = layers // 2 + layers // 64 * 2 + layers // 64 // 2
    assert answer.trace.sizes[answer.trace.components == vramcast.Component.WEIGHTS].sum() == packed + 2 * (2 * 1000 * 256 + 5 * 256)


HEAD = b"GGUF" + struct.pack("<I", 3)
HOSTILE = {
    "empty": b"",
    "another format": b"PK\x03\x04" + b"\0" * 100,
    "an old version": b"GGUF" + struct.pack("<IQQ", 1, 0, 0),
    "cut off": HEAD + b"\1",
    "a billion tensors": HEAD + struct.pack("<QQ", 2**40, 0) + b"\0" * 100,
    "a billion keys": HEAD + struct.pack("<QQ", 0, 2**62) + b"\0" * 100,
    "a key without end": HEAD + struct.pack("<QQQ", 0, 1, 2**50) + b"\0" * 100,
    "a list without end": HEAD + struct.pack("<QQQ", 0, 1, 1) + b"k" + struct.pack("<IIQ", 9, 8, 2**60) + b"\0" * 100,
    "lists in lists": HEAD + struct.pack("<QQQ", 0, 1, 1) + b"k" + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 1000 + b"\0" * 100,
    "a tensor larger than its file": HEAD + struct.pack("<QQQ", 1, 0, 1) + b"t" + struct.pack("<IQQIQ", 2, 2**40, 2**20, 12, 0) + b"\0" * 100,
    "a tensor of no known type": HEAD + struct.pack("<QQQ", 1, 0, 1) + b"t" + struct.pack("<IQIQ", 1, 8, 99, 0) + b"\0" * 100,
    "a tensor of many dimensions": HEAD + struct.pack("<QQQ", 1, 0, 1) + b"t" + struct.pack("<I", 2**31) + b"\0" * 100,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_gguf_file_ends_in_an_error_at_once(tmp_path: Path, what: str) -> None:
    path = tmp_path / "hostile.gguf"
    path.write_bytes(HOSTILE[what])
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(InvalidFileError):
        read_weights(path)
    assert time.process_time() - started < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024, "KiB"


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, struct.pack("<Q", 2**60) + b"{}", struct.pack("<Q", 2) + b"{}" + b"x" * 9])
def test_a_hostile_safetensors_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(InvalidFileError):
        read_weights(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for name in ("none.gguf", "none.safetensors", "none.safetensors.index.json"):
        with pytest.raises(InvalidFileError, match="none"):
            read_weights(tmp_path / name)
