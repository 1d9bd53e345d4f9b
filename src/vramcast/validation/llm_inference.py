"""Memory of 7B language models under optimum-benchmark's inference benchmark, one forward pass and generation, on an A100-80GB.

What was measured is told by the benchmark's own code at the commits the rows name (`trackers/memory.py`,
`benchmarks/inference/benchmark.py`). MB are 1e6 bytes, cut to whole ones. At f75d9f93 and 9a0db86b the cache is emptied and peaks are
reset, then the first call of `forward`, and after it the first of `generate`, is watched; `generate` makes exactly as many tokens as
asked. At the other commits the calls that are watched come after others, whose outputs are still held; their cache is not emptied.
Device memory is read when the call has ended.
"""

from __future__ import annotations

import json
import re
from typing import Any

from vramcast.validation.case import Case, CaseSet, Metric, Unexpressed
from vramcast.validation.table import environment_of, measured_bytes, rows, sorted_out
from vramcast.workload import Workload

FILE = "llm_infer_a100.csv"
_GPU = "A100 80GB"
_CITATION = "huggingface/optimum-benchmark (Apache-2.0), examples/running-llamas and others; each row names commit and file"
_MODELS = {
    "NousResearch/Llama-2-7b-hf": "llama-2-7b",
    "meta-llama/Llama-2-7b-hf": "llama-2-7b",
    "lmsys/vicuna-7b-v1.5": "llama-2-7b",  # the architecture it was made from
    "mistralai/Mistral-7B-v0.1": "mistral-7b-v0.1",
    "TheBloke/LLaMa-7B-GPTQ": "llama-7b",
    "TheBloke/Llama-2-7B-GPTQ": "llama-2-7b",
    "TheBloke/vicuna-7B-v1.5-GPTQ": "llama-2-7b",
    "TheBloke/Mistral-7B-v0.1-GPTQ": "mistral-7b-v0.1",
}
_SMALLEST, _SMALLEST_PACKED = 13 * 10**9, 35 * 10**8
"""Bytes below which a reading is of something else: the weights of the smallest of these models, in fp16 and in 4 bits."""
_UNKNOWN = 10**15
"""What a run without a reading of reserved memory may have reserved."""
_FRESH = ("@f75d9f93", "@9a0db86b")
"""Commits whose benchmark empties the cache and watches the first call."""
_LOADED_TWICE = ("@6a25a6db", "@71a60178")
"""Commits in whose runs 23.5 GB stay reserved from loading: 6a25a6db states as much reserved at batch 1 as at batch 4."""
_PARTIAL = ("6d860440b2bdcf1e83f1",)
"""Commits whose file states less than the weights even in fp16, so that none of its readings is of a whole run."""
_METRIC = re.compile(r"\((forward|generate)\.(peak_memory|max_memory_\w+)\(MB\)\)")
_METRICS: dict[str, Metric] = {
    "max_memory_allocated": "allocated", "max_memory_reserved": "reserved", "max_memory_used": "device", "peak_memory": "device",
}  # fmt: skip


class LanguageModelInference(CaseSet):
    """Allocated and reserved bytes: fp16, without a constant of any kind."""

    name = "llm-inference-a100"
    citation = _CITATION
    environment = ""

    def read(self, folder: str | None) -> tuple[list[Case], list[Unexpressed]]:
        """Quantised weights, flash-attn and runs that cached memory while loading are not expressed."""
        return _read(folder, {"allocated", "reserved"})


class LanguageModelDevice(CaseSet):
    """Device memory of the same runs, as NVML reports it."""

    name = "llm-inference-a100-device"
    citation = _CITATION
    environment = "one constant (CUDA context, kernels, what driver and firmware keep), fitted on one half of the shapes"

    def read(self, folder: str | None) -> tuple[list[Case], list[Unexpressed]]:
        """Sums over several cards, and readings made when the allocator had given memory back, are not expressed either."""
        return _read(folder, {"device"})


def _read(folder: str | None, metrics: set[str]) -> tuple[list[Case], list[Unexpressed]]:
    table = rows(folder, FILE)
    reserved = {_run(row): measured_bytes(row) for row in table if _reading(row)[1] == "max_memory_reserved"}
    wanted = [row for row in table if _METRICS[_reading(row)[1]] in metrics]
    return sorted_out(wanted, lambda row: _reason_against(row, reserved.get(_run(row), 0)), _case)


def _reading(row: dict[str, str]) -> tuple[str, str]:
    """Return what was called (`forward` or `generate`), and the benchmark's name of the figure."""
    match = _METRIC.search(row["metric"])
    return (match[1], match[2]) if match else ("", "")


def _run(row: dict[str, str]) -> tuple[str, ...]:
    return (_reading(row)[0], *(row[name] for name in ("source", "model", "extra", "image_or_seq", "batch_per_gpu")))


def _reason_against(row: dict[str, str], reserved: int) -> str:
    call, figure = _reading(row)
    settings, tokens = _settings(row), _tokens(row)
    if row["model"] not in _MODELS:
        return "kernels of AutoAWQ 0.1, which split every product in eight"
    if settings.get("use_flash_attention_2"):
        return "kernels of flash-attn, a package of its own"
    if call == "generate" and len(tokens) < 2:
        return "how many tokens were generated is not stated"
    if _METRICS[figure] != "allocated" and _is_of(row, _LOADED_TWICE):
        return "memory cached while the weights were loaded is counted"
    if _METRICS[figure] != "device":
        return ""
    return _reason_against_device(row, figure, reserved)


def _reason_against_device(row: dict[str, str], figure: str, reserved: int) -> str:
    if "summed" in row["notes"]:
        return "a sum over several cards"
    if figure == "peak_memory" and _is_of(row, ("@f75d9f93",)):
        return "the same reading as max_memory_used"
    if _is_of(row, _PARTIAL) or measured_bytes(row) < (_SMALLEST if _weights(row) is None else _SMALLEST_PACKED):
        return "less than the weights"
    if _is_of(row, _FRESH) and measured_bytes(row) < (reserved or _UNKNOWN):
        return "read when the allocator had given memory back, or may have"
    return ""


def _settings(row: dict[str, str]) -> dict[str, Any]:
    return dict(json.loads(row["extra"]))


def _tokens(row: dict[str, str]) -> list[int]:
    """Return the prompt's tokens and, where stated, the new ones."""
    return [int(number) for number in re.findall(r"\d+", row["image_or_seq"])]


def _weights(row: dict[str, str]) -> str | None:
    """Return how weights are packed: bitsandbytes in 4 bits, whose two types are of one size; GPTQ on ExLlama's kernels."""
    settings = _settings(row)
    if settings.get("quantization_config.load_in_4bit"):
        return "int4-nf4"
    if "GPTQ" not in row["model"]:
        return None
    return "int4-gptq" if settings.get("quantization_config.exllama_config.version") == "2" else "int4-gptq-exllama"


def _is_of(row: dict[str, str], commits: tuple[str, ...]) -> bool:
    return any(commit in row["source"] for commit in commits)


def _case(row: dict[str, str]) -> Case:
    call, figure = _reading(row)
    tokens = _tokens(row)
    workload = Workload.infer(
        preset="transformers-4.35",
        precision="fp16",
        weights=_weights(row),
        batch=int(row["batch_per_gpu"]),
        seq=tokens[0],
        new_tokens=tokens[1] if call == "generate" else None,
        attention="sdpa" if _settings(row).get("to_bettertransformer") else None,
        steps=1 if _is_of(row, _FRESH) else 2,
        environment={"torch": row["torch_version"]},
    )
    model = f"transformers:{_MODELS[row['model']]}"
    return Case(
        id=row["id"], model=model, workload=workload, gpu=_GPU, metric=_METRICS[figure], measured_bytes=measured_bytes(row),
        group=f"{model} {workload.seq} {workload.new_tokens} batch {workload.batch}", environment=environment_of(row),
    )  # fmt: skip
