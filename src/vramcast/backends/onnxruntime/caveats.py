"""What is said with every forecast of a session, and what with some."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from vramcast.backends.onnxruntime.kernels import CUDA
from vramcast.backends.onnxruntime.session import Session
from vramcast.operator_graph import OperatorGraph
from vramcast.trace import Caveat
from vramcast.workload import Workload

_KNOWN_DOMAINS = frozenset({"", "ai.onnx", "com.microsoft", "ai.onnx.ml", "com.ms.internal.nhwc"})
_DATA_DEPENDENT = frozenset({"NonZero", "NonMaxSuppression", "Unique", "Compress", "Loop", "If", "Scan"})
_QUANTIZED = frozenset({"QuantizeLinear", "DequantizeLinear"})
_WITH_SCRATCH = frozenset({"NonMaxSuppression", "Attention", "MultiHeadAttention", "LSTM", "GRU", "InstanceNormalization", "GroupNorm"})


def caveats_of(graph: OperatorGraph, session: Session, workload: Workload) -> Iterator[Caveat]:
    """Yield what was not modelled, or only assumed."""
    yield from graph.caveats
    operators = Counter(node.operator for node in session.graph.nodes)
    if operators["Conv"] or operators["FusedConv"]:
        yield Caveat("Workspaces of convolutions are those of a rule for cuDNN, fitted on torch's: an estimate.")
    if workload.onnxruntime.cudnn == 8 and workload.onnxruntime.cudnn_conv_algo_search == "EXHAUSTIVE":
        yield Caveat("The search for cuDNN's algorithms is forecast for 40 GiB of free memory: on a smaller card it leaves the largest out.")
    foreign = Counter(node.operator for node in session.graph.nodes if node.domain not in _KNOWN_DOMAINS)
    if foreign:
        yield Caveat(f"Custom operators are taken as kernels that allocate their outputs alone: {_listed(foreign)}.")
    depends = Counter({name: operators[name] for name in _DATA_DEPENDENT if operators[name]})
    if depends:
        yield Caveat(f"Shapes that depend on data are taken at the sizes the graph states, subgraphs as one node: {_listed(depends)}.")
    absent = Counter(node.operator for node in session.graph.nodes if not CUDA.has(node, session.graph.tensors))
    if absent:
        yield Caveat(f"The CUDA provider has no kernels for these, which run on the host: {_listed(absent)}.")
    if any(operators[name] for name in _QUANTIZED):
        yield Caveat("Quantized graphs run as they are written: kernels for quantized types, which ONNX Runtime would fuse, are not chosen.")
    scratch = Counter({name: operators[name] for name in _WITH_SCRATCH if operators[name]})
    if scratch:
        yield Caveat(f"Scratch of these kernels is not counted: {_listed(scratch)}.")
    crossing = _crossing(session)
    if crossing:
        yield Caveat("Values made on the host and read on the device are copied there; the copies are not counted.", crossing)
    if workload.onnxruntime.enable_cuda_graph:
        yield Caveat("A captured run is forecast as one that is not; the graph's own nodes on the device are not counted.")


def _crossing(session: Session) -> int:
    """Return the bytes of values that lie on the host and are read by nodes on the device, beyond what these read there."""
    names = {
        name
        for index, node in enumerate(session.graph.nodes)
        if index not in session.host_nodes
        for place, name in enumerate(node.inputs)
        if name in session.on_host and name in session.graph.producers and not CUDA.reads_on_host(node, place)
    }
    return sum(session.graph.tensors[name].size for name in names)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
