"""What peft itself keeps and allocates on a CPU: tiny models with its adapters, run for one step.

`python tests/program/peft_truth.py` writes the figures to `golden/peft.json`; it needs peft (and bitsandbytes for packed layers), the tests do not.
"""

from __future__ import annotations

import json
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from vramcast.sources.transformers import Transformers

GOLDEN = Path(__file__).parent / "golden" / "peft.json"
BATCH, TOKENS = 2, 32
SMALL = BATCH * TOKENS * 8
"""Bytes of ids and masks, which a CPU run prepares otherwise, and below."""
_COMMON: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 176, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 1000}
LLAMA = {
    **_COMMON, "model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_key_value_heads": 2, "max_position_embeddings": 128,
    "tie_word_embeddings": False,
}  # fmt: skip
BERT = {
    **_COMMON, "model_type": "bert", "architectures": ["BertForMaskedLM"], "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
GPT2 = {
    "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 1000, "n_positions": 128,
    "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
}  # fmt: skip
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str, str | None]] = {
    "llama": (LLAMA, {"rank": 8}, "fp32", None),
    "llama all-linear": (LLAMA, {"rank": 16, "target": ["all-linear"]}, "fp32", None),
    "llama dora": (LLAMA, {"rank": 8, "dora": True}, "fp32", None),
    "llama saved head": (LLAMA, {"rank": 8, "save": ["lm_head"]}, "fp32", None),
    "llama bf16": (LLAMA, {"rank": 8}, "bf16", None),
    "llama bf16 throughout": (LLAMA, {"rank": 8, "target": ["all-linear"], "dtype": "module"}, "bf16", None),
    "llama nf4": (LLAMA, {"rank": 8}, "bf16", "int4-nf4"),
    "llama nf4 throughout": (LLAMA, {"rank": 8, "target": ["all-linear"], "dtype": "module"}, "bf16", "int4-nf4"),
    "llama nf4 dora": (LLAMA, {"rank": 8, "dora": True}, "bf16", "int4-nf4"),
    "llama nf4 prepared": (LLAMA, {"rank": 8}, "fp32", "int4-nf4"),
    "llama autocast": (LLAMA, {"rank": 8, "target": ["all-linear"]}, "amp-bf16", None),
    "llama autocast, base in 16 bits": (LLAMA, {"rank": 8, "target": ["all-linear"], "base": "autocast"}, "amp-bf16", None),
    "llama autocast, base in 16 bits, dora": (LLAMA, {"rank": 8, "base": "autocast", "dora": True}, "amp-bf16", None),
    "bert": (BERT, {"rank": 8}, "fp32", None),
    "gpt2": (GPT2, {"rank": 8}, "fp32", None),
    "gpt2 dora": (GPT2, {"rank": 8, "dora": True}, "fp32", None),
}
"""Configuration, fields of `Workload.lora`, precision, format of packed weights."""


def folder_of(config: dict[str, Any], at: Path) -> str:
    """Write a configuration; return its folder."""
    (at / "config.json").write_text(json.dumps(config))
    return str(at)


def truth(name: str) -> dict[str, Any]:
    """Run a case with peft: parameters, bytes kept for backward, and in fp32, where CPU and CUDA do the same, allocations above `SMALL` in order."""
    config, lora, precision, weights = CASES[name]
    with tempfile.TemporaryDirectory() as place:
        module: Any = Transformers().load(folder_of(config, Path(place))).build(None)
    module.set_attn_implementation("eager")
    module.config.use_cache = False
    if precision == "bf16" or lora.get("base") == "autocast":
        module.to(torch.bfloat16)
    if weights == "int4-nf4":
        _pack(module)
    module = _with_adapters(module, lora).train()
    ids = torch.zeros((BATCH, TOKENS), dtype=torch.int64)
    module(input_ids=ids, labels=ids).loss.backward()
    module.zero_grad()
    trained, everything = module.get_nb_trainable_parameters()
    figures = {"trained": trained, "all": everything, "saved": saved_bytes(module, ids, precision)}
    return figures | ({"events": _events(module, ids)} if precision == "fp32" and weights is None else {})


def _pack(module: Any) -> None:
    """Put bitsandbytes' layers in the place of linear ones, as transformers does: all but the output layer."""
    import bitsandbytes

    for name, layer in list(module.named_modules()):
        if type(layer) is torch.nn.Linear and layer is not module.get_output_embeddings():
            dtype = layer.weight.dtype
            made = bitsandbytes.nn.Linear4bit(layer.in_features, layer.out_features, layer.bias is not None, compute_dtype=dtype, quant_type="nf4")
            made.weight = bitsandbytes.nn.Params4bit(layer.weight.data, requires_grad=False, compress_statistics=False, quant_type="nf4").to("cpu")
            made.bias = layer.bias
            module.set_submodule(name, made)
    module.is_loaded_in_4bit = True


def _with_adapters(module: Any, lora: dict[str, Any]) -> Any:
    import peft

    target = lora.get("target")
    config = peft.LoraConfig(
        r=lora["rank"], target_modules="all-linear" if target == ["all-linear"] else target, use_dora=lora.get("dora", False),
        modules_to_save=lora.get("save"), lora_alpha=16,
    )  # fmt: skip
    return peft.get_peft_model(module, config, autocast_adapter_dtype=lora.get("dtype", "fp32") == "fp32")


def saved_bytes(module: Any, ids: torch.Tensor, precision: str) -> int:
    """Return the bytes of the storages that a forward pass hands to autograd to keep, parameters and ids left out."""
    held = {tensor.untyped_storage().data_ptr() for tensor in [*module.parameters(), *module.buffers(), ids]}
    kept: dict[int, Any] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in held:
            kept[storage.data_ptr()] = storage
        return tensor

    autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "amp-bf16")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), autocast:
        outputs = module(input_ids=ids, labels=ids)
    sizes = sum(storage.nbytes() for storage in kept.values())
    del outputs
    return sizes


def _events(module: Any, ids: torch.Tensor) -> list[int]:
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        outputs = module(input_ids=ids, labels=ids)
        outputs.loss.backward()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    sizes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return [size for size in sizes if abs(size) > SMALL]


if __name__ == "__main__":
    from vramcast.sources.torchvision_import import prepare_import

    prepare_import()
    torch.manual_seed(0)
    versions = {name: version(name) for name in ("peft", "bitsandbytes", "torch", "transformers")}
    GOLDEN.write_text(json.dumps({"versions": versions, "cases": {name: truth(name) for name in CASES}}) + "\n")
