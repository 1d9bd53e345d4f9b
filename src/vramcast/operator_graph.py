"""The `OperatorGraph`: what a static runtime compiles. Operators in order, and tensors whose every dimension is known.

It is read from an ONNX file or exported from a torch module, at the sizes of one workload, and speaks ONNX's language: operator types, domains
and attribute names are those of the ONNX specification. It holds no weights, only their shapes and types.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from vramcast.trace import Caveat

_BITS = {
    "float64": 64, "float32": 32, "float16": 16, "bfloat16": 16, "float8_e4m3fn": 8, "float8_e5m2": 8, "float4_e2m1fn": 4,
    "float8_e4m3fnuz": 8, "float8_e5m2fnuz": 8, "float8_e8m0fnu": 8, "float6_e2m3fn": 6, "float6_e3m2fn": 6,
    "int64": 64, "int32": 32, "int16": 16, "int8": 8, "int4": 4, "int2": 2,
    "uint64": 64, "uint32": 32, "uint16": 16, "uint8": 8, "uint4": 4, "uint2": 2,
    "bool": 8, "complex64": 64, "complex128": 128, "string": 0,
}  # fmt: skip
"""Bits of an element; types below a byte are packed, and strings stay on the host."""


@dataclass(frozen=True, slots=True)
class GraphTensor:
    """A tensor of the graph; every dimension is bound."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    """NumPy's name, with `bfloat16`, `float8_e4m3fn`, `int4` … beside them."""

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Its bytes without gaps; types below a byte are packed."""
        return -(-self.elements * _BITS[self.dtype] // 8)


@dataclass(frozen=True, slots=True)
class GraphNode:
    """One operator call."""

    name: str
    operator: str
    """ONNX's operator type: `Conv`, `Gemm`, `QuantizeLinear` …"""
    inputs: tuple[str, ...]
    """Tensors by name; empty where an optional one is absent."""
    outputs: tuple[str, ...]
    domain: str = ""
    """Empty: ONNX's own."""
    attributes: Mapping[str, object] = field(default_factory=dict)
    """Ints, floats, strings and tuples of them, by name; subgraphs as `OperatorGraph`."""
    module: str = ""
    """Fully qualified name of the torch module it was exported from, where that is known."""


@dataclass(frozen=True, eq=False)
class OperatorGraph:
    """See the module's docstring."""

    name: str
    nodes: tuple[GraphNode, ...]
    """In an order in which each tensor is made before it is read."""
    tensors: Mapping[str, GraphTensor]
    """Every tensor by name."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    initializers: frozenset[str]
    """Weights and constants."""
    opset: int = 0
    """Version of ONNX's own operators."""
    parameters: int = 0
    """Elements of the weights, without constants that only shapes need."""
    values: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Values of small integer constants, which shapes and axes are read from."""
    caveats: tuple[Caveat, ...] = ()

    @functools.cached_property
    def last_reads(self) -> Mapping[str, int]:
        """Tensor -> index of the last node that reads it; a graph output is read after the last node."""
        reads = {name: index for index, node in enumerate(self.nodes) for name in node.inputs if name}
        return reads | dict.fromkeys(self.outputs, len(self.nodes))

    @functools.cached_property
    def producers(self) -> Mapping[str, int]:
        """Tensor -> index of the node that makes it; inputs and initializers are not among them."""
        return {name: index for index, node in enumerate(self.nodes) for name in node.outputs if name}

    @property
    def weight_bytes(self) -> int:
        """Bytes of all initializers in their own types."""
        return sum(self.tensors[name].size for name in self.initializers)


@dataclass(frozen=True, slots=True)
class GraphSizes:
    """What binds a graph's open dimensions."""

    batch: int
    image: tuple[int, int] | None = None
    seq: int | None = None
    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Shapes of inputs by name, which go before the others."""
