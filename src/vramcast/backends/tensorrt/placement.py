"""Which memory each tensor lies in, from which step to which: views and slices lie in what they are views of, parts of a concatenation in it.

logs (verbose builds): a concatenation is eliminated by "retargeting" what makes its inputs to its output. What cannot be retargeted is copied when
the concatenation would have run: the output of a view or a slice ("... copy" after the layers that read it), and what others read too. A
half-precision convolution with a residual sum inside does not write with a stride and is copied as well (YOLOv5s in fp16).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from vramcast.backends.tensorrt.formats import Formats
from vramcast.backends.tensorrt.layers import Kind, Layer, Span, producers, readers
from vramcast.operator_graph import OperatorGraph
from vramcast.units import round_up

ALIGNMENT = 512
"""Bytes: every total of the logs of TensorRT 8.6 and later is a multiple, of earlier ones but for tensors of a few bytes."""
_VIEWS = frozenset({Kind.VIEW, Kind.SLICE, Kind.DEQUANTIZE})


@dataclass(frozen=True, slots=True)
class Places:
    """Which tensor lies in which."""

    inside: dict[str, str]
    """Tensor -> the one it lies in."""
    copied: dict[str, tuple[str, ...]]
    """Output of a concatenation -> inputs that are copied into it."""

    def region(self, name: str) -> str:
        """Return the tensor whose memory this one lies in; itself where it has its own."""
        while name in self.inside:
            name = self.inside[name]
        return name


def places_of(graph: OperatorGraph, layers: Sequence[Layer]) -> Places:
    """Find out what lies in what."""
    inside: dict[str, str] = {}
    copied: dict[str, tuple[str, ...]] = {}
    made, read = producers(layers), readers(layers)
    for layer in layers:
        if layer.kind in _VIEWS:
            inside |= dict.fromkeys(layer.outputs, layer.inputs[0])
        elif layer.kind is Kind.CONVOLUTION:
            inside |= dict.fromkeys(layer.outputs[1:], layer.outputs[0])
    for layer in layers:
        if layer.kind is not Kind.CONCATENATION:
            continue
        output = layer.outputs[0]
        kept = tuple(name for name in layer.inputs if not _is_retargeted(graph, name, made.get(name), len(read[name]), inside))
        inside |= dict.fromkeys((name for name in layer.inputs if name not in kept), output)
        copied[output] = kept
    return Places(inside, copied)


def spans_of(graph: OperatorGraph, layers: Sequence[Layer], formats: Formats, scratch: Sequence[int], bindings: Bindings) -> tuple[Span, ...]:
    """Return what has to be held, and from which step to which; `scratch` is what each layer takes for itself."""
    places = places_of(graph, layers)
    record = _Record(places)
    for name in bindings.reformatted_inputs:
        record.write(name, None)
    for layer, extra in zip(layers, scratch):
        if layer.kind in _VIEWS:
            continue
        if layer.kind is Kind.CONCATENATION:
            for name in places.copied[layer.outputs[0]]:
                record.step((name,), layer.outputs, layer, 0)
        else:
            record.step(layer.inputs, layer.outputs, layer, extra)
    for name in bindings.reformatted_outputs:
        record.read(name)
    return tuple(record.spans(graph, formats, _parts(layers), _outside(graph, places, bindings)))


@dataclass(frozen=True, slots=True)
class Bindings:
    """Inputs and outputs that the engine holds in a format of its own, beside the caller's."""

    reformatted_inputs: tuple[str, ...]
    reformatted_outputs: tuple[str, ...]


@dataclass(slots=True)
class _Record:
    places: Places
    now: int = 0
    born: dict[str, int] = field(default_factory=dict)
    died: dict[str, int] = field(default_factory=dict)
    makers: dict[str, Layer | None] = field(default_factory=dict)
    scratch: list[Span] = field(default_factory=list)

    def write(self, name: str, layer: Layer | None) -> None:
        region = self.places.region(name)
        self.born.setdefault(region, self.now)
        self.makers.setdefault(region, layer)
        self.died[region] = self.now

    def read(self, name: str) -> None:
        self.died[self.places.region(name)] = self.now

    def step(self, inputs: Iterable[str], outputs: Iterable[str], layer: Layer, scratch: int) -> None:
        """Let a layer read its inputs and write its outputs, with scratch for itself alone."""
        self.now += 1
        for name in inputs:
            self.read(name)
        for name in outputs:
            self.write(name, layer)
        if scratch:
            self.scratch.append(Span(layer.name, round_up(scratch, ALIGNMENT), self.now, self.now, layer.module, layer.operators[0], is_scratch=True))

    def spans(self, graph: OperatorGraph, formats: Formats, parts: dict[str, tuple[str, ...]], outside: set[str]) -> Iterable[Span]:
        """Yield what has memory in the plan, with the steps it lives for; what is in `outside` belongs to the caller."""
        for region, born in self.born.items():
            size = sum(formats.size(graph.tensors[name]) for name in parts.get(region, (region,)))
            if region not in outside and size:
                maker = self.makers[region]
                module, operator = (maker.module, maker.operators[0]) if maker is not None else ("", "Reformat")
                yield Span(region, round_up(size, ALIGNMENT), born, self.died[region], module, operator)
        yield from self.scratch


def _is_retargeted(graph: OperatorGraph, name: str, maker: Layer | None, readers_of_it: int, inside: dict[str, str]) -> bool:
    if maker is None or name in inside or name in graph.outputs or readers_of_it > 1 or len(maker.outputs) > 1:
        return False
    is_convolution = maker.kind is Kind.CONVOLUTION
    return not (is_convolution and "Add" in maker.operators and "Sigmoid" in maker.operators)


def _parts(layers: Iterable[Layer]) -> dict[str, tuple[str, ...]]:
    """Return first output of merged convolutions -> all of them, which lie side by side."""
    return {layer.outputs[0]: layer.outputs for layer in layers if layer.kind is Kind.CONVOLUTION and len(layer.outputs) > 1}


def _outside(graph: OperatorGraph, places: Places, bindings: Bindings) -> set[str]:
    """Return what lies in the caller's memory."""
    own = {*bindings.reformatted_inputs, *bindings.reformatted_outputs}
    return {places.region(name) for name in (*graph.inputs, *graph.outputs) if name not in own}
