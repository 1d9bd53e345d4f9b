"""How the weights of linear layers can be stored in fewer bits: names, and the tensors each format keeps per layer.

Sources, by format:

- `int8`: bitsandbytes 0.50.2, `functional.py` (`int8_vectorwise_quant`): a byte per weight, an fp32 scale per output.
- `int4-nf4`, `int4-nf4-double`: bitsandbytes 0.50.2, `functional.py` (`quantize_4bit`, `quantize_blockwise`): half a byte per weight, an fp32
  maximum per block; with double quantisation, a byte per block, and an fp32 maximum per 256 blocks.
- `int4-gptq`: AutoGPTQ at 9f7d3707, `nn_modules/qlinear/qlinear_exllamav2.py`; `int4-gptq-exllama`: `qlinear_exllama.py` there.
- `int4-awq`: AutoAWQ at 88e4c76b, `modules/linear/gemm.py`.
- `fp8`: torchao 0.18, `Float8DynamicActivationFloat8WeightConfig` with its defaults: a byte per weight, one fp32 scale.
- `gguf:Q4_K_M` and its like: `vramcast/gguf_types.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from vramcast.errors import UnknownNameError, WorkloadError
from vramcast.gguf_types import GGUF_FILES

GGUF = "gguf"
_BLOCKS = (32, 64, 128, 256, 512, 1024, 2048, 4096)
"""Block sizes that bitsandbytes has kernels for (`dequantize_4bit`)."""
_GROUPS = (16, 32, 64, 128, 256, 512, 1024)
_CODES, _NESTED, _NESTED_CODES = 16, 256, 256
_PER_INT32 = 8
"""4-bit values in an int32."""


@dataclass(frozen=True, slots=True)
class PackedTensor:
    """One tensor a packed layer keeps on the card."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    """torch's name."""


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """A format by name, with its block or group size, or the mixture of a GGUF file."""

    name: str
    group: int = 0
    """Weights that share a scale; 0 where the format has none."""
    mixture: str = ""
    """For GGUF: `Q4_K_M`."""

    @classmethod
    def parse(cls, text: str) -> WeightFormat:
        """Read `int4-nf4`, `int4-gptq:64` (group size) or `gguf:Q4_K_M`.

        Raises:
            UnknownNameError: there is no such format, or no such mixture.
            WorkloadError: a group size the format does not have.
        """
        name, _, detail = text.partition(":")
        if name == GGUF:
            if detail not in GGUF_FILES:
                raise UnknownNameError("GGUF mixture", detail, GGUF_FILES, hint=f"Legal: {', '.join(f'gguf:{file}' for file in GGUF_FILES)}.")
            return cls(GGUF, mixture=detail)
        if name not in _FORMATS:
            raise UnknownNameError("weight format", text, FORMATS, hint=f"Legal: {', '.join(FORMATS)}.")
        legal = _FORMATS[name].groups
        if not detail:
            return cls(name, _FORMATS[name].group)
        if not legal or re.fullmatch(r"\d{1,5}", detail) is None or int(detail) not in legal:
            sizes = f"it takes a group size of {', '.join(map(str, legal))}" if legal else "it takes no group size"
            raise WorkloadError(f"weights {text!r}: {sizes}, as in int4-gptq:128.")
        return cls(name, int(detail))

    @property
    def can_train(self) -> bool:
        """Whether its layers have a backward pass, so that something else in the model can be trained through them."""
        return self.name in _WITH_BACKWARD

    def takes(self, outputs: int, inputs: int) -> bool:
        """Tell whether a layer of this shape can be packed; one that cannot stays as it is."""
        return _FORMATS[self.name].takes(outputs, inputs, self.group) if self.name in _FORMATS else True

    def packed(self, outputs: int, inputs: int) -> tuple[PackedTensor, ...]:
        """Return what takes the place of a matrix of `outputs` rows and `inputs` columns; not for GGUF, whose types depend on the layer."""
        return _FORMATS[self.name].packed(outputs, inputs, self.group)


def _int8(outputs: int, inputs: int, _group: int) -> tuple[PackedTensor, ...]:
    return PackedTensor("CB", (outputs, inputs), "int8"), PackedTensor("SCB", (outputs,), "float32")


def _nf4(outputs: int, inputs: int, block: int) -> tuple[PackedTensor, ...]:
    values = outputs * inputs
    packed = PackedTensor("weight", (math.ceil(values / 2), 1), "uint8"), PackedTensor("absmax", (math.ceil(values / block),), "float32")
    return *packed, PackedTensor("code", (_CODES,), "float32")


def _nf4_double(outputs: int, inputs: int, block: int) -> tuple[PackedTensor, ...]:
    values = outputs * inputs
    blocks = math.ceil(values / block)
    return (
        PackedTensor("weight", (math.ceil(values / 2), 1), "uint8"), PackedTensor("absmax", (blocks,), "uint8"),
        PackedTensor("offset", (), "float32"), PackedTensor("nested_absmax", (math.ceil(blocks / _NESTED),), "float32"),
        PackedTensor("nested_code", (_NESTED_CODES,), "float32"), PackedTensor("code", (_CODES,), "float32"),
    )  # fmt: skip


def _gptq(outputs: int, inputs: int, group: int) -> tuple[PackedTensor, ...]:
    groups = math.ceil(inputs / group)
    return (
        PackedTensor("qweight", (inputs // _PER_INT32, outputs), "int32"), PackedTensor("qzeros", (groups, outputs // _PER_INT32), "int32"),
        PackedTensor("scales", (groups, outputs), "float16"), PackedTensor("g_idx", (inputs,), "int32"),
    )  # fmt: skip


def _gptq_exllamav2(outputs: int, inputs: int, group: int) -> tuple[PackedTensor, ...]:
    """With groups, the second version keeps a permutation of the inputs and its inverse (`ext_make_q_matrix`)."""
    permutations = PackedTensor("q_perm", (inputs,), "int16"), PackedTensor("q_invperm", (inputs,), "int16")
    return *_gptq(outputs, inputs, group), *permutations


def _awq(outputs: int, inputs: int, group: int) -> tuple[PackedTensor, ...]:
    return (
        PackedTensor("qweight", (inputs, outputs // _PER_INT32), "int32"),
        PackedTensor("qzeros", (inputs // group, outputs // _PER_INT32), "int32"),
        PackedTensor("scales", (inputs // group, outputs), "float16"),
    )  # fmt: skip


def _fp8(outputs: int, inputs: int, _group: int) -> tuple[PackedTensor, ...]:
    return PackedTensor("qdata", (outputs, inputs), "float8_e4m3fn"), PackedTensor("scale", (1, 1), "float32")


@dataclass(frozen=True, slots=True)
class _Format:
    packed: Callable[[int, int, int], tuple[PackedTensor, ...]]
    group: int = 0
    groups: tuple[int, ...] = ()
    takes: Callable[[int, int, int], bool] = lambda outputs, inputs, group: True


def _divides_gptq(outputs: int, inputs: int, group: int) -> bool:
    return outputs % 32 == 0 and inputs % 32 == 0 and inputs % group == 0


def _divides_awq(outputs: int, inputs: int, group: int) -> bool:
    return inputs % group == 0 and outputs % _PER_INT32 == 0


def _divides_fp8(outputs: int, inputs: int, _group: int) -> bool:
    """Sides in multiples of 16 (torch 2.13, `_scaled_mm`)."""
    return outputs % 16 == 0 and inputs % 16 == 0


_FORMATS = {
    "int8": _Format(_int8),
    "int4-nf4": _Format(_nf4, 64, _BLOCKS),
    "int4-nf4-double": _Format(_nf4_double, 64, _BLOCKS),
    "int4-gptq": _Format(_gptq_exllamav2, 128, _GROUPS, _divides_gptq),
    "int4-gptq-exllama": _Format(_gptq, 128, _GROUPS, _divides_gptq),
    "int4-awq": _Format(_awq, 128, _GROUPS, _divides_awq),
    "fp8": _Format(_fp8, takes=_divides_fp8),
}
_WITH_BACKWARD = frozenset({"int8", "int4-nf4", "int4-nf4-double", "int4-awq"})
PACKED = tuple(_FORMATS)
"""Formats beside GGUF's."""
FORMATS = (*PACKED, *(f"{GGUF}:{file}" for file in GGUF_FILES))
"""Every format by the name that `--weights` takes."""
