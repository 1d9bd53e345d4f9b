"""ONNX files at the sizes of a workload: dimensions bound, shapes inferred, types and values kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir
import pytest
from hand_made_files import BOOL, FLOAT, INT64, constant, graph, info, model_of, node, one_operator, saved, weight
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from vramcast.errors import UnknownNameError, WorkloadError
from vramcast.onnx_graph.element_types import type_name
from vramcast.onnx_graph.file_graph import read_graph
from vramcast.onnx_graph.symbols import role_of
from vramcast.operator_graph import GraphSizes, GraphTensor, OperatorGraph

IMAGES = ["batch", 3, "height", "width"]


def convolution(shape: list[int | str | None]) -> object:
    return one_operator("Conv", [info("x", shape)], [weight("w", 8, 3, 3, 3)], pads=[1, 1, 1, 1], strides=[2, 2])


def shape_of(found: OperatorGraph, name: str) -> tuple[int, ...]:
    return found.tensors[name].shape


@pytest.mark.parametrize(
    "shape",
    [IMAGES, ["N", 3, "H", "W"], ["batch_size", 3, "s77", "s27"], ["unk__616", 3, "unk__617", "unk__618"], [None, 3, None, None], ["s0", 3, 64, 96]],
)
def test_open_dimensions_are_bound_by_name_or_place(tmp_path: Path, shape: list[int | str | None]) -> None:
    found = read_graph(saved(tmp_path, convolution(shape)), GraphSizes(5, (64, 96)))
    assert shape_of(found, "x") == (5, 3, 64, 96)
    assert shape_of(found, "y") == (5, 8, 32, 48)
    assert found.weight_bytes == 8 * 3 * 3 * 3 * 4
    assert found.parameters == 8 * 3 * 3 * 3


def test_images_with_channels_last(tmp_path: Path) -> None:
    file = saved(tmp_path, one_operator("Transpose", [info("x", ["unk__1", "unk__2", "unk__3", 3])], perm=[0, 3, 1, 2]))
    assert shape_of(read_graph(file, GraphSizes(2, (10, 20))), "y") == (2, 3, 10, 20)


def test_what_nothing_binds_is_named_with_the_way_out(tmp_path: Path) -> None:
    file = saved(tmp_path, convolution(["batch", 3, "frames", "width"]))
    with pytest.raises(WorkloadError, match=r"dimension 2 of input x=batchx3xframesxwidth is open \(frames\).*--input x=Nx3xNxN"):
        read_graph(file, GraphSizes(1, (64, 64)))
    with pytest.raises(WorkloadError, match=r"\(height\).*--image N, or --input"):
        read_graph(saved(tmp_path, convolution(IMAGES)), GraphSizes(1))
    assert shape_of(read_graph(file, GraphSizes(1, inputs={"x": (2, 3, 7, 9)})), "y") == (2, 8, 4, 5)


def test_an_input_binds_its_symbols_elsewhere(tmp_path: Path) -> None:
    both = graph([node("Add", ["a", "b"], ["y"])], [info("a", ["batch", "points"]), info("b", ["batch", "points"])], [info("y", None)])
    found = read_graph(saved(tmp_path, both), GraphSizes(9, inputs={"a": (2, 7)}))
    assert shape_of(found, "b") == shape_of(found, "y") == (2, 7)


def test_inputs_that_do_not_go_with_the_file(tmp_path: Path) -> None:
    file = saved(tmp_path, convolution(IMAGES))
    with pytest.raises(UnknownNameError, match="no input is called 'z'"):
        read_graph(file, GraphSizes(1, inputs={"z": (1, 3, 8, 8)}))
    for shape in ((1, 4, 8, 8), (1, 3, 8)):
        with pytest.raises(WorkloadError, match=r"is given as .* but the file has x=batchx3xheightxwidth"):
            read_graph(file, GraphSizes(1, inputs={"x": shape}))


def test_sizes_that_the_file_fixes(tmp_path: Path) -> None:
    file = saved(tmp_path, convolution([4, 3, 32, 32]))
    assert [caveat.message for caveat in read_graph(file, GraphSizes(1)).caveats] == [
        "The file fixes its sizes: x=4x3x32x32. They were taken, whatever batch says."
    ]
    assert not read_graph(file, GraphSizes(4, (32, 32))).caveats
    for sizes in (GraphSizes(8), GraphSizes(4, (64, 64)), GraphSizes(4, seq=12)):
        with pytest.raises(WorkloadError, match="does not go with the file, whose sizes are fixed: x=4x3x32x32"):
            read_graph(file, sizes)


def test_sequences(tmp_path: Path) -> None:
    file = saved(
        tmp_path,
        graph(
            [node("Gather", ["table", "ids"], ["y"])],
            [info("ids", ["batch", "sequence_length"], INT64)],
            [info("y", None)],
            [weight("table", 100, 16)],
        ),
    )
    assert shape_of(read_graph(file, GraphSizes(3, seq=40)), "y") == (3, 40, 16)
    with pytest.raises(WorkloadError, match="--seq N"):
        read_graph(file, GraphSizes(3))


def test_sizes_that_are_computed(tmp_path: Path) -> None:
    """A resize to scales times the input's own size, as older exporters wrote it: shape, cast, multiply, floor, cast, concatenate."""
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Slice", ["shape", "two", "four"], ["sides"]),
        node("Cast", ["sides"], ["floats"], to=FLOAT),
        node("Mul", ["floats", "scale"], ["scaled"]),
        node("Floor", ["scaled"], ["floored"]),
        node("Cast", ["floored"], ["whole"], to=INT64),
        node("Slice", ["shape", "zero", "two"], ["front"]),
        node("Concat", ["front", "whole"], ["target"], axis=0),
        node("Resize", ["x", "", "", "target"], ["y"], mode="nearest"),
    ]
    scale = helper.make_tensor("scale", FLOAT, [2], [1.5, 2.5])
    whole = graph(nodes, [info("x", IMAGES)], [info("y", None)], [constant("zero", 0), constant("two", 2), constant("four", 4), scale])
    found = read_graph(saved(tmp_path, whole), GraphSizes(2, (10, 11)))
    assert shape_of(found, "y") == (2, 3, 15, 27)
    assert not found.caveats


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (TensorProto.FLOAT16, "float16"),
        (TensorProto.BFLOAT16, "bfloat16"),
        (TensorProto.FLOAT8E4M3FN, "float8_e4m3fn"),
        (TensorProto.INT4, "int4"),
        (TensorProto.UINT8, "uint8"),
        (TensorProto.DOUBLE, "float64"),
    ],
)
def test_types_of_weights(tmp_path: Path, kind: int, dtype: str) -> None:
    bits = {"float16": 16, "bfloat16": 16, "float8_e4m3fn": 8, "int4": 4, "uint8": 8, "float64": 64}[dtype]
    raw = TensorProto(name="w", data_type=kind, dims=[33], raw_data=bytes(-(-33 * bits // 8)))
    found = read_graph(saved(tmp_path, one_operator("Identity", [], [raw])), GraphSizes(1))
    assert found.tensors["w"].dtype == dtype
    assert found.weight_bytes == -(-33 * bits // 8)


def test_quantised_with_scales(tmp_path: Path) -> None:
    """Quantise and dequantise around a product: int8 weights stay int8, and what is dequantised is no weight."""
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        node("DequantizeLinear", ["w", "s", "z"], ["wd"]),
        node("MatMul", ["xd", "wd"], ["y"]),
    ]
    zero = TensorProto(name="z", data_type=TensorProto.INT8, raw_data=b"\0")
    scale = helper.make_tensor("s", FLOAT, [], [0.1])
    whole = graph(nodes, [info("x", ["batch", 64])], [info("y", None)], [weight("w", 64, 200, dtype="int8"), scale, zero])
    found = read_graph(saved(tmp_path, whole), GraphSizes(3))
    assert found.weight_bytes == 64 * 200 + 4 + 1
    assert found.tensors["xq"].dtype == "int8"
    assert found.tensors["wd"].size == 4 * 64 * 200
    assert shape_of(found, "y") == (3, 200)


def test_operators_that_nobody_knows_are_named(tmp_path: Path) -> None:
    nodes = [node("Strange", ["x"], ["a"], domain="my.own"), node("Relu", ["a"], ["b"]), node("Relu", ["x"], ["y"])]
    whole = model_of(graph(nodes, [info("x", [2, 3])], [info("b", None), info("y", None)]), domains=["my.own"])
    found = read_graph(saved(tmp_path, whole), GraphSizes(2))
    messages = [caveat.message for caveat in found.caveats]
    assert messages[0] == "Operators of the domain 'my.own' that nothing is known of: Strange. What their kernels take was left out."
    assert any("made by my.own::Strange is not known; they were counted as empty" in message for message in messages)
    assert shape_of(found, "y") == (2, 3)


def test_what_a_file_says_of_them_is_taken(tmp_path: Path) -> None:
    nodes = [node("Strange", ["x"], ["a"], domain="my.own"), node("Relu", ["a"], ["y"])]
    whole = graph(nodes, [info("x", [2, 3])], [info("y", None)])
    whole.value_info.append(info("a", [7, 5]))
    assert shape_of(read_graph(saved(tmp_path, model_of(whole, domains=["my.own"])), GraphSizes(2)), "y") == (7, 5)


def test_what_a_file_says_of_other_sizes_is_not(tmp_path: Path) -> None:
    whole = graph([node("Relu", ["x"], ["a"]), node("Relu", ["a"], ["y"])], [info("x", ["batch", 3])], [info("y", [1, 3])])
    whole.value_info.append(info("a", [1, 3]))
    found = read_graph(saved(tmp_path, whole), GraphSizes(6))
    assert shape_of(found, "a") == shape_of(found, "y") == (6, 3)


def test_outputs_that_depend_on_values_are_bounded(tmp_path: Path) -> None:
    boxes, scores = info("boxes", ["batch", 50, 4]), info("scores", ["batch", 7, 50])
    whole = graph(
        [node("NonMaxSuppression", ["boxes", "scores", "most"], ["picked"]), node("Cast", ["picked"], ["y"], to=FLOAT)],
        [boxes, scores],
        [info("y", None)],
        [constant("most", 10)],
    )
    found = read_graph(saved(tmp_path, whole), GraphSizes(2))
    assert shape_of(found, "y") == (2 * 7 * 10, 3)
    message = "What 1 NonMaxSuppression operator gives depends on values: the most was taken that it can give."
    assert [caveat.message for caveat in found.caveats] == [message]


def test_functions_of_the_model_are_inlined(tmp_path: Path) -> None:
    body = helper.make_function(
        "my.own", "Twice", ["a"], ["c"], [node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["c"])], [helper.make_opsetid("", 21)]
    )
    whole = graph([node("Twice", ["x"], ["y"], domain="my.own")], [info("x", ["batch", 3])], [info("y", None)])
    found = read_graph(saved(tmp_path, model_of(whole, [body], ["my.own"])), GraphSizes(4))
    assert [entry.operator for entry in found.nodes] == ["Relu", "Relu"]
    assert shape_of(found, "y") == (4, 3)


def test_the_larger_branch_of_an_if(tmp_path: Path) -> None:
    small = graph([node("Relu", ["x"], ["a"])], [], [info("a", None)])
    large = graph([node("Concat", ["x", "w"], ["b"], axis=0), node("Relu", ["b"], ["c"])], [], [info("c", None)], [weight("w", 90, 3)])
    whole = graph(
        [node("If", ["flag"], ["y"], then_branch=small, else_branch=large), node("Neg", ["y"], ["z"])],
        [info("x", ["batch", 3]), info("flag", [], BOOL)],
        [info("z", None)],
    )
    found = read_graph(saved(tmp_path, whole), GraphSizes(4))
    assert [entry.operator for entry in found.nodes] == ["Concat", "Relu", "Neg"]
    assert shape_of(found, "z") == (94, 3)
    assert found.weight_bytes == 90 * 3 * 4
    assert [caveat.message for caveat in found.caveats] == ["The larger branch was taken of 1 If operator."]


def test_one_iteration_of_a_loop_and_all_it_collects(tmp_path: Path) -> None:
    body = graph(
        [node("Add", ["state", "w"], ["next"]), node("Relu", ["next"], ["seen"]), node("Identity", ["c"], ["go"])],
        [info("i", [], INT64), info("c", [], BOOL), info("state", None)],
        [info("go", [], BOOL), info("next", None), info("seen", None)],
        [weight("w", 3)],
    )
    whole = graph(
        [node("Loop", ["times", "flag", "x"], ["last", "all"], body=body)],
        [info("x", ["batch", 3]), info("flag", [], BOOL)],
        [info("last", None), info("all", None)],
        [constant("times", 12)],
    )
    found = read_graph(saved(tmp_path, whole), GraphSizes(4))
    assert [entry.operator for entry in found.nodes if entry.operator in ("Add", "Relu")] == ["Add", "Relu"]
    assert [shape_of(found, name) for name in found.outputs] == [(4, 3), (12, 4, 3)]
    assert "One iteration was taken of 1 Loop operator" in found.caveats[0].message


def test_one_slice_of_a_scan(tmp_path: Path) -> None:
    body = graph(
        [node("Add", ["state", "part"], ["next"]), node("Relu", ["next"], ["seen"])],
        [info("state", None), info("part", None)],
        [info("next", None), info("seen", None)],
    )
    whole = graph(
        [node("Scan", ["start", "x"], ["last", "all"], body=body, num_scan_inputs=1)],
        [info("start", ["batch", 5]), info("x", [9, "batch", 5])],
        [info("last", None), info("all", None)],
    )
    found = read_graph(saved(tmp_path, whole), GraphSizes(2))
    assert [shape_of(found, name) for name in found.outputs] == [(2, 5), (9, 2, 5)]


def test_values_of_small_constants_alone(tmp_path: Path) -> None:
    large = helper.make_tensor("large", INT64, [2000], np.arange(2000))
    whole = graph(
        [node("Reshape", ["x", "target"], ["y"]), node("Gather", ["x", "large"], ["z"])],
        [info("x", ["batch", 12])],
        [info("y", None), info("z", None)],
        [constant("target", 0, 3, 4), large],
    )
    found = read_graph(saved(tmp_path, whole), GraphSizes(2))
    assert found.values == {"target": (0, 3, 4)}
    assert shape_of(found, "y") == (2, 3, 4)
    assert shape_of(found, "z") == (2000, 12)


@given(name=st.text(max_size=12), index=st.integers(0, 5), rank=st.integers(1, 6))
def test_any_name_has_a_role_or_none(name: str, index: int, rank: int) -> None:
    assert role_of(name, min(index, rank - 1), [None] * rank) in ("batch", "height", "width", "sequence", None)


def test_every_element_type_has_its_bits() -> None:
    for kind in onnx_ir.DataType:
        if kind not in (onnx_ir.DataType.UNDEFINED, onnx_ir.DataType.STRING):
            assert GraphTensor("t", (16,), type_name(kind)).size == 2 * kind.bitwidth, kind
    assert GraphTensor("t", (16,), type_name(onnx_ir.DataType.STRING)).size == 0
