"""A session: its graph optimized, placed and planned; and its life, from loading to the last run, written down."""

from __future__ import annotations

from dataclasses import dataclass

from vramcast.backends.interface import Capability
from vramcast.backends.onnxruntime.allocation_plan import AllocationPlan, plan
from vramcast.backends.onnxruntime.execution_order import execution_order
from vramcast.backends.onnxruntime.kernels import CUDA, KernelTable
from vramcast.backends.onnxruntime.memory_pattern import ALIGNMENT, MemoryPattern
from vramcast.backends.onnxruntime.optimizer.levels import optimize
from vramcast.backends.onnxruntime.placement import host_nodes, host_values
from vramcast.backends.onnxruntime.recording import (
    ARENA_INITIALIZERS,
    BOUND,
    COMPUTE_STREAM,
    CUBLAS,
    INITIALIZERS,
    NO_STREAM,
    SEARCH,
    Recorder,
)  # fmt: skip
from vramcast.backends.onnxruntime.scratch import PRODUCTS, KernelScratch
from vramcast.backends.onnxruntime.session_graph import SessionGraph, session_graph
from vramcast.onnxruntime_options import OnnxRuntimeOptions
from vramcast.operator_graph import GraphNode, OperatorGraph
from vramcast.trace import Component
from vramcast.units import round_up


@dataclass(frozen=True, eq=False)
class Session:
    """What a session knows before its first run."""

    graph: SessionGraph
    plan: AllocationPlan
    on_host: frozenset[str]
    """Values in host memory."""
    host_nodes: frozenset[int]
    options: OnnxRuntimeOptions

    def size(self, name: str) -> int:
        """Return the device bytes of a value; 0 in host memory."""
        return 0 if name in self.on_host else self.graph.tensors[name].size

    def pattern(self) -> int:
        """Return the bytes of the memory pattern's block."""
        pattern = MemoryPattern()
        for index in self.plan.order:
            for name in self.plan.allocated.get(index, ()):
                if name not in self.plan.is_output:
                    pattern.allocate(name, self.size(name))
            for name in self.plan.released.get(index, ()):
                pattern.free(name)
        return pattern.peak


def make_session(graph: OperatorGraph, options: OnnxRuntimeOptions, kernels: KernelTable = CUDA) -> Session:
    """Optimize, place and plan a graph."""
    optimized = optimize(session_graph(graph), options.graph_optimization_level)
    order = execution_order(optimized, options.execution_order)
    nodes = host_nodes(optimized, order, kernels)
    on_host = host_values(optimized, nodes, kernels)
    return Session(optimized, plan(optimized, order, kernels, on_host), on_host, nodes, options)


def record(session: Session, runs: int, capability: Capability, *, allows_tf32: bool) -> Recorder:
    """Write down what the session asks for: at loading, and in so many runs."""
    life = _Life(session, KernelScratch(capability, session.options, allows_tf32=allows_tf32, opset=session.graph.opset))
    life.load()
    for number in range(runs):
        life.run(number)
    return life.recorder


class _Life:
    def __init__(self, session: Session, scratch: KernelScratch) -> None:
        self.recorder = Recorder()
        self._session = session
        self._scratch = scratch
        self._pattern = session.pattern() if session.options.enable_mem_pattern else 0
        self._has_cublas = False
        self._held: dict[str, int | None] = {}
        """Values whose memory is allocated -> their blocks."""

    def load(self) -> None:
        """Record what opening the session takes."""
        self.recorder.phase("load", -1)
        self._load_initializers()
        if self._session.options.io_binding:
            graph = self._session.graph
            for names, component in ((graph.inputs, Component.INPUTS), (graph.outputs, Component.OUTPUTS)):
                for name in names:
                    self.recorder.operation(BOUND)
                    self.recorder.allocate(self._session.size(name), component, NO_STREAM)

    def run(self, number: int) -> None:
        """Record one run; from the second on, the memory pattern is known."""
        self.recorder.phase("forward", number)
        inputs = self._copy_inputs()
        pattern = None
        if number and self._pattern:
            self.recorder.operation("onnxruntime::memory_pattern")
            pattern = self.recorder.allocate(self._pattern, Component.ACTIVATIONS, NO_STREAM)
        for index in self._session.plan.order:
            self._run_node(index, is_first=not number, in_pattern=pattern is not None)
        self.recorder.operation("onnxruntime::end_of_run")
        for block in (*self._held.values(), pattern, *inputs):
            self.recorder.free(block)
        self._held.clear()
        if self._session.options.enable_memory_arena_shrinkage:
            self.recorder.shrink()

    def _load_initializers(self) -> None:
        """Ask for one block of all (`TensorAllocatorWithMemPattern`), or for each by itself (`AllocateTensorOnDeviceOrMemory`)."""
        session, options = self._session, self._session.options
        sizes = {name: session.size(name) for name in _by_reader(session.graph)}
        if options.enable_mem_pattern:
            self.recorder.operation(INITIALIZERS)
        for name, size in sizes.items():
            if not options.enable_mem_pattern:
                self.recorder.operation(INITIALIZERS if options.use_device_allocator_for_initializers else ARENA_INITIALIZERS)
            held = round_up(size, ALIGNMENT) if options.enable_mem_pattern else size
            self.recorder.allocate(held, Component.WEIGHTS, NO_STREAM, _module_of(session.graph, name))

    def _copy_inputs(self) -> list[int | None]:
        if self._session.options.io_binding:
            return []
        self.recorder.operation("onnxruntime::copy_inputs")
        return [self.recorder.allocate(self._session.size(name), Component.INPUTS) for name in self._session.graph.inputs]

    def _run_node(self, index: int, *, is_first: bool, in_pattern: bool) -> None:
        node = self._session.graph.nodes[index]
        plan, recorder = self._session.plan, self.recorder
        recorder.operation(f"onnx::{node.operator}", node.module)
        for name in plan.allocated.get(index, ()):
            is_output = name in plan.is_output
            if (in_pattern and not is_output) or (is_output and self._session.options.io_binding):
                continue
            component = Component.OUTPUTS if is_output else Component.ACTIVATIONS
            self._held[name] = recorder.allocate(self._session.size(name), component, COMPUTE_STREAM)
        if index not in self._session.host_nodes:
            self._take_scratch(node, is_first)
        for name in plan.released.get(index, ()):
            recorder.free(self._held.pop(name, None))

    def _take_scratch(self, node: GraphNode, is_first: bool) -> None:
        tensors, recorder = self._session.graph.tensors, self.recorder
        if node.operator in PRODUCTS and not self._has_cublas:
            self._has_cublas = True
            recorder.operation(CUBLAS, node.module)
            recorder.allocate(self._scratch.cublas, Component.WORKSPACE, NO_STREAM)
        searched = self._scratch.search(node, tensors) if is_first else 0
        if searched:
            recorder.operation(SEARCH, node.module)
            recorder.free(recorder.allocate(searched, Component.WORKSPACE, NO_STREAM))
        workspace = self._scratch.workspace(node, tensors)
        if workspace or searched:
            recorder.operation(f"onnx::{node.operator}", node.module)
            recorder.free(recorder.allocate(workspace, Component.WORKSPACE, COMPUTE_STREAM))


def _by_reader(graph: SessionGraph) -> list[str]:
    """Return the initializers by number; the order in which a session loads them follows a hash table and cannot be known."""
    return sorted(graph.initializers, key=lambda name: graph.value_numbers.get(name, -1))


def _module_of(graph: SessionGraph, name: str) -> str:
    readers = graph.consumers.get(name)
    return graph.nodes[readers[0]].module if readers else ""
