"""Values of the builder: a `Layer` is what runs as one kernel (or is a view), an `Engine` what becomes of a graph."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vramcast.operator_graph import GraphNode


class Kind(enum.Enum):
    """What a layer is to the fusions; of a fused layer, what its first operator was."""

    CONVOLUTION = "convolution"
    MATRIX_PRODUCT = "matrix product"
    SCALE = "scale"
    """Batch normalization: a factor and an offset for each channel."""
    POINTWISE = "pointwise"
    SOFTMAX = "softmax"
    NORMALIZATION = "normalization"
    ATTENTION = "attention"
    VIEW = "view"
    """Other dimensions of the same bytes."""
    SLICE = "slice"
    """A part of a tensor, read where it lies."""
    CONCATENATION = "concatenation"
    COPY = "copy"
    QUANTIZE = "quantize"
    DEQUANTIZE = "dequantize"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Layer:
    """One kernel."""

    kind: Kind
    nodes: tuple[GraphNode, ...]
    """What was fused into it, in order; empty for copies that the builder puts in."""
    inputs: tuple[str, ...]
    """Tensors it reads that are computed at run time."""
    outputs: tuple[str, ...]
    weights: tuple[str, ...] = ()
    """Constants it reads."""
    module: str = ""

    @property
    def name(self) -> str:
        """As in the builder's logs: names joined by a plus."""
        return " + ".join(node.name for node in self.nodes) or "copy"

    @property
    def operators(self) -> tuple[str, ...]:
        """ONNX operator types, in order."""
        return tuple(node.operator for node in self.nodes)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the activation memory: a tensor, several that lie in one, or what a layer takes for itself."""

    name: str
    size: int
    born: int
    """Step that first writes it."""
    died: int
    """Step that last reads it."""
    module: str
    operator: str
    is_scratch: bool = False

    def overlaps(self, other: Span) -> bool:
        """Whether both are needed at some step."""
        return self.born <= other.died and other.born <= self.died


@dataclass(frozen=True, slots=True)
class Block:
    """Memory that several spans use one after another."""

    size: int
    spans: tuple[Span, ...]

    @property
    def largest(self) -> Span:
        """What decides about its size."""
        return max(self.spans, key=lambda span: (span.size, -span.born))


@dataclass(frozen=True, slots=True)
class Weight:
    """A constant that lies on the card."""

    name: str
    size: int
    module: str


@dataclass(frozen=True, slots=True)
class Binding:
    """An input or output, which belongs to the caller."""

    name: str
    size: int
    is_input: bool


@dataclass(frozen=True, eq=False)
class Engine:
    """What a builder makes of a graph."""

    layers: tuple[Layer, ...]
    """In the order in which they run; views and slices are not among them."""
    blocks: tuple[Block, ...]
    """The plan of the activation memory; its size is the sum of theirs."""
    weights: tuple[Weight, ...]
    bindings: tuple[Binding, ...]
    scratch: int
    """Largest scratch of a layer, in bytes; part of the plan."""
    wanted_scratch: int
    """The same, where the workspace is not limited."""
    tensors: int
    """How many spans were planned, which builders call nodes."""
    uncovered: Mapping[str, int] = field(default_factory=dict)
    """Operators without a rule of their own -> how often they occur."""

    @property
    def activation_bytes(self) -> int:
        """What builders call the total activation memory."""
        return sum(block.size for block in self.blocks)

    @property
    def weight_bytes(self) -> int:
        """What builders call the total weights memory."""
        return sum(weight.size for weight in self.weights)


def readers(layers: Iterable[Layer]) -> dict[str, list[Layer]]:
    """Return tensor -> the layers that read it, each once."""
    found: dict[str, list[Layer]] = {}
    for layer in layers:
        for name in dict.fromkeys(layer.inputs):
            found.setdefault(name, []).append(layer)
    return found


def producers(layers: Iterable[Layer]) -> dict[str, Layer]:
    """Return tensor -> the layer that makes it."""
    return {name: layer for layer in layers for name in layer.outputs}


def joined(members: Sequence[Layer], kind: Kind, module: str) -> Layer:
    """Return one layer that does what all of them do, in this order; what the last one makes leaves it."""
    inner = {name for layer in members for name in layer.outputs}
    return Layer(
        kind=kind,
        nodes=tuple(node for layer in members for node in layer.nodes),
        inputs=tuple(dict.fromkeys(name for layer in members for name in layer.inputs if name not in inner)),
        outputs=members[-1].outputs,
        weights=tuple(name for layer in members for name in layer.weights),
        module=module,
    )
