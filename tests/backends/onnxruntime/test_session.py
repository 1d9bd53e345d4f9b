"""Plan, pattern, optimizer and recording of sessions, on graphs written by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vramcast import Workload
from vramcast.allocator.room import Room
from vramcast.backends.onnxruntime.arena_replay import replay_session
from vramcast.backends.onnxruntime.memory_pattern import MemoryPattern
from vramcast.backends.onnxruntime.recording import SEARCH
from vramcast.backends.onnxruntime.session import Session, make_session, record
from vramcast.errors import WorkloadError
from vramcast.onnxruntime_options import OnnxRuntimeOptions
from vramcast.operator_graph import GraphNode, GraphTensor, OperatorGraph
from vramcast.timeline import Timeline
from vramcast.trace import Component, Phase, Subject, Trace
from vramcast.units import KIB, MIB, round_up


def graph(
    *nodes: GraphNode, shapes: dict[str, tuple[int, ...]], inputs: str = "x", outputs: str = "y", weights: str = "", dtype: str = "float32"
) -> OperatorGraph:
    tensors = {name: GraphTensor(name, shape, "int64" if name.startswith("shape") else dtype) for name, shape in shapes.items()}
    return OperatorGraph("hand", nodes, tensors, tuple(inputs.split()), tuple(outputs.split()), frozenset(weights.split()))


def node(operator: str, inputs: str, outputs: str, **attributes: object) -> GraphNode:
    return GraphNode(f"{operator}_{outputs}", operator, tuple(inputs.split()), tuple(outputs.split()), attributes=attributes)


PRODUCTS = graph(
    node("MatMul", "x w", "a"), node("Relu", "a", "b"), node("MatMul", "b w", "c"), node("Exp", "c", "d"), node("MatMul", "d w", "y"),
    shapes=dict.fromkeys("x w a b c d y".split(), (512, 512)), weights="w",
)  # fmt: skip
"""Each tensor has 1 MiB."""


def trace_of(session: Session, runs: int = 2) -> Trace:
    return record(session, runs, (8, 0), allows_tf32=True).trace(Subject("hand", "test", 0, 0), ())


def replayed(options: OnnxRuntimeOptions, of: OperatorGraph = PRODUCTS, runs: int = 2, limit: int | None = None) -> tuple[Trace, Timeline]:
    trace = trace_of(make_session(of, options), runs)
    trace.validate()
    return trace, replay_session(trace, options, Room(limit))


def test_a_relu_takes_its_inputs_memory_and_an_exponential_does_not() -> None:
    plan = make_session(PRODUCTS, OnnxRuntimeOptions()).plan

    assert (plan.buffers["b"], plan.buffers["c"]) == ("a", "c")
    # d cannot be in c: Exp has no MayInplace on CUDA. But a is free by then, and of the same shape.
    assert plan.buffers["d"] == "a"
    assert plan.is_output == {"y"}


def test_the_pattern_holds_what_lives_at_once() -> None:
    assert make_session(PRODUCTS, OnnxRuntimeOptions()).pattern() == 2 * MIB


def test_the_pattern_takes_the_gap_with_the_least_waste() -> None:
    pattern = MemoryPattern()
    places = [pattern.allocate(name, size * KIB) for name, size in (("a", 8), ("b", 1), ("c", 4), ("d", 1))]
    pattern.free("a")
    pattern.free("c")

    assert places == [0, 8 * KIB, 9 * KIB, 13 * KIB]
    assert pattern.allocate("e", 3 * KIB) == 9 * KIB  # 4 KiB waste less than 8 KiB.
    assert pattern.allocate("f", 9 * KIB) == 14 * KIB
    assert pattern.peak == 23 * KIB


def test_what_a_session_holds_by_phases() -> None:
    trace, timeline = replayed(OnnxRuntimeOptions())

    assert trace.phases == (Phase("load", -1), Phase("forward", 0), Phase("forward", 1))
    # Weights by Reserve, at their size. First run: x, a, c and y of 1 MiB: regions of 1, 2 and 4 MiB; cuBLAS beside them. Second: nothing fits the
    # pattern's 2 MiB better than what is there.
    regions = [segment.size for segment in timeline.segments]
    assert regions == [MIB, MIB, 2 * MIB, 4 * MIB, 4 * MIB]
    assert timeline.peak_reserved == 12 * MIB


def test_memory_goes_back_at_the_end_but_weights() -> None:
    trace, timeline = replayed(OnnxRuntimeOptions())

    left = trace.components[trace.live_blocks(len(trace) - 1)]
    assert sorted(left.tolist()) == [Component.WEIGHTS, Component.WORKSPACE]  # cuBLAS keeps its workspace.
    assert timeline.allocated[-1] == MIB + 4 * MIB


def test_without_a_pattern_the_second_run_is_as_the_first() -> None:
    trace, timeline = replayed(OnnxRuntimeOptions(enable_mem_pattern=False), runs=3)

    phases = trace.event_phases()
    firsts = [timeline.reserved[phases == phase].max() for phase in (1, 2, 3)]
    assert firsts[0] == firsts[1] == firsts[2]


def test_the_same_strategy_asks_for_no_more_than_needed() -> None:
    _, doubling = replayed(OnnxRuntimeOptions())
    _, exact = replayed(OnnxRuntimeOptions(arena_extend_strategy="kSameAsRequested"))

    assert exact.peak_reserved <= doubling.peak_reserved
    assert {segment.size for segment in exact.segments} <= {MIB, 2 * MIB, 4 * MIB}


def test_shrinking_gives_regions_back_after_each_run() -> None:
    _, timeline = replayed(OnnxRuntimeOptions(enable_memory_arena_shrinkage=True, arena_extend_strategy="kSameAsRequested"))

    assert timeline.reserved[-1] == MIB + 4 * MIB  # Weights, and what cuBLAS keeps.


def test_bound_inputs_and_outputs_are_not_copied_through_the_arena() -> None:
    trace, _ = replayed(OnnxRuntimeOptions(io_binding=True))

    is_io = (trace.components == Component.INPUTS) | (trace.components == Component.OUTPUTS)
    assert is_io.sum() == 2
    assert set(trace.event_phases()[trace.allocated_at[is_io]].tolist()) == {0}


def test_too_small_a_card_is_an_answer() -> None:
    _, timeline = replayed(OnnxRuntimeOptions(), limit=6 * MIB)

    assert timeline.out_of_memory is not None


CONVOLUTION = graph(
    node("Conv", "x w", "a", strides=(1, 1), pads=(1, 1, 1, 1)), node("BatchNormalization", "a s b m v", "c"),
    node("Add", "c x", "d"),
    node("Relu", "d", "y"),
    shapes={"x": (1, 8, 16, 16), "w": (8, 8, 3, 3), **dict.fromkeys("s b m v".split(), (8,)), **dict.fromkeys("a c d y".split(), (1, 8, 16, 16))},
    weights="w s b m v",
)  # fmt: skip


@pytest.mark.parametrize(("level", "operators"), [
    ("disable_all", ["Conv", "BatchNormalization", "Add", "Relu"]), ("basic", ["Conv", "Add", "Relu"]), ("all", ["FusedConv"]),
])  # fmt: skip
def test_levels(level: str, operators: list[str]) -> None:
    made = make_session(CONVOLUTION, OnnxRuntimeOptions(graph_optimization_level=level))  # type: ignore[arg-type]

    assert [one.operator for one in made.graph.nodes] == operators


def test_half_precision_has_no_fused_convolution() -> None:
    half = OperatorGraph(
        "half", CONVOLUTION.nodes, {name: GraphTensor(name, tensor.shape, "float16") for name, tensor in CONVOLUTION.tensors.items()},
        CONVOLUTION.inputs, CONVOLUTION.outputs, CONVOLUTION.initializers,
    )  # fmt: skip

    assert [one.operator for one in make_session(half, OnnxRuntimeOptions()).graph.nodes] == ["Conv", "Add", "Relu"]


def test_the_search_of_older_builds_is_reserved_at_the_first_run_alone() -> None:
    options = OnnxRuntimeOptions(cudnn=8, cudnn_conv_use_max_workspace=False)
    trace, _ = replayed(options, CONVOLUTION)
    searches = [index for index, name in enumerate(trace.operators) if name == SEARCH]
    blocks = trace.operation_operators[trace.operations[trace.allocated_at]] == searches[0]

    assert trace.sizes[blocks].tolist() == [32 * MIB]
    assert SEARCH not in replayed(OnnxRuntimeOptions(), CONVOLUTION)[0].operators


@pytest.mark.parametrize(("chosen", "scratch"), [(300, 0), (5000, 2 * 8400 * (4 + 8))])
def test_a_selection_of_many_values_sorts_beside_its_row(chosen: int, scratch: int) -> None:
    """One row at a time: keys of 4 bytes and indices of 8, in and out (`TopKImpl` of the CUDA provider)."""
    shapes = {"x": (2, 8400), "shape": (1,), "y": (2, chosen), "shape_of_indices": (2, chosen)}
    selecting = graph(node("TopK", "x shape", "y shape_of_indices"), shapes=shapes, outputs="y shape_of_indices", weights="shape")
    trace, _ = replayed(OnnxRuntimeOptions(), selecting)

    assert trace.sizes[trace.components == Component.WORKSPACE].tolist() == [scratch] * (2 if scratch else 0)


@pytest.mark.parametrize(("axis", "opset", "copies"), [(1, 21, 2), (-1, 21, 0), (2, 21, 0), (1, 12, 0)])
def test_a_softmax_over_another_than_the_last_dimension_transposes(axis: int, opset: int, copies: int) -> None:
    softmax = replace(graph(node("Softmax", "x", "y", axis=axis), shapes=dict.fromkeys("xy", (2, 16, 8192))), opset=opset)
    trace, _ = replayed(OnnxRuntimeOptions(), softmax, runs=1)

    assert trace.sizes[trace.components == Component.WORKSPACE].sum() == copies * MIB


def test_shapes_are_computed_on_the_host() -> None:
    shapes = {"x": (4, 256), "shape1": (2,), "shape2": (2,), "y": (4, 256), "one": (2,)}
    nodes = (node("Shape", "x", "shape1"), node("Mul", "shape1 one", "shape2"), node("Reshape", "x shape2", "y"))
    made = make_session(graph(*nodes, shapes=shapes, weights="one"), OnnxRuntimeOptions(graph_optimization_level="disable_all"))

    assert {"shape1", "shape2", "one"} == made.on_host
    assert made.size("shape1") == 0


def test_weights_are_rounded_within_their_block() -> None:
    small = graph(node("Add", "x w", "y"), shapes={"x": (3,), "w": (3,), "y": (3,)}, weights="w")
    _, timeline = replayed(OnnxRuntimeOptions(), small)

    assert timeline.segments[0].size == round_up(12, 256)


@pytest.mark.parametrize(("fields", "named"), [
    ({"mode": "train", "backend": "onnxruntime"}, "mode 'train' and backend 'onnxruntime'"),
    ({"backend": "onnxruntime", "precision": "amp-fp16"}, "precision 'amp-fp16' and backend 'onnxruntime'"),
    ({"backend": "onnxruntime", "new_tokens": 4, "seq": 8}, "new_tokens 4 and backend 'onnxruntime'"),
    ({"backend": "eager", "onnxruntime": OnnxRuntimeOptions(cudnn=8)}, "backend 'eager'"),
])  # fmt: skip
def test_what_a_session_does_not_do_is_refused(fields: dict[str, object], named: str) -> None:
    with pytest.raises(WorkloadError, match=named):
        Workload(**fields)  # type: ignore[arg-type]


def test_illegal_options_are_refused() -> None:
    with pytest.raises(WorkloadError, match="gpu_mem_limit is 0"):
        OnnxRuntimeOptions(gpu_mem_limit=0)
    with pytest.raises(WorkloadError, match="enable_cuda_graph"):
        OnnxRuntimeOptions(enable_cuda_graph=True)
