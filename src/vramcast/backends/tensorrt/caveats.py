"""What is said with every forecast of an engine, and what with some."""

from __future__ import annotations

from collections.abc import Iterator

from vramcast.backends.interface import Capability
from vramcast.backends.tensorrt.layers import Engine, Kind
from vramcast.operator_graph import OperatorGraph
from vramcast.trace import Caveat
from vramcast.units import KIB
from vramcast.workload import Workload

_MOST_PERSISTENT = 128 * KIB
"""Per context: engines of TensorRT 8.6 to 10.12 in the logs have 0 to 122 KiB."""
_FP8_SINCE: Capability = (8, 9)
"""Ada (support matrix, "Hardware and precision", TensorRT 10)."""
_WINOGRAD = 16 / 9
"""Elements of a 3x3 kernel transformed for tiles of 2x2 (Lavin and Gray, 2016), by elements before."""


def caveats_of(graph: OperatorGraph, engine: Engine, workload: Workload, capability: Capability | None) -> Iterator[Caveat]:
    """Yield what was not modelled, or only assumed."""
    yield from graph.caveats
    options = workload.tensorrt
    yield Caveat(
        "An engine is forecast without timing kernels: formats and fusions are those that builders choose as a rule. Building it takes more memory "
        "than running it, on the card and on the host."
    )
    yield Caveat("Persistent memory of an execution context is taken as nothing.", _MOST_PERSISTENT * options.contexts)
    if workload.precision in ("fp32", "tf32") and options.quantization == "none":
        yield Caveat("Weights of 3x3 convolutions may be stored transformed (Winograd).", _transformed(graph, engine))
    if options.quantization != "none" and not any(node.operator == "QuantizeLinear" for node in graph.nodes):
        given = "calibrated" if options.quantization == "int8" else "given some (builders calibrate for int8 alone)"
        yield Caveat(f"The graph states no scales: all layers with 8-bit kernels are taken to be {given}, the others run in {workload.precision}.")
    if options.quantization == "fp8" and capability is not None and capability < _FP8_SINCE:
        yield Caveat("The card has no fp8 tensor cores, and TensorRT builds no fp8 engine for it.")
    if engine.uncovered:
        named = ", ".join(f"{name} ({count})" for name, count in sorted(engine.uncovered.items()))
        yield Caveat(f"Operators without a rule, taken as kernels of their own without scratch; TensorRT may need a plugin for them: {named}.")
    if engine.scratch < engine.wanted_scratch:
        yield Caveat("A layer's scratch does not fit into the workspace: the builder would have to find another kernel, or fail.")


def _transformed(graph: OperatorGraph, engine: Engine) -> int:
    """Return what transformed kernels would add."""
    names = {
        node.inputs[1]
        for layer in engine.layers
        if layer.kind is Kind.CONVOLUTION
        for node in layer.nodes
        if node.operator == "Conv" and graph.tensors[node.inputs[1]].shape[2:] == (3, 3) and _is_dense(node.attributes)
    }
    return int(sum(weight.size for weight in engine.weights if weight.name in names) * (_WINOGRAD - 1))


def _is_dense(attributes: object) -> bool:
    if not isinstance(attributes, dict):
        return False
    strides = attributes.get("strides") or (1, 1)
    return attributes.get("group", 1) == 1 and tuple(strides) == (1, 1)
