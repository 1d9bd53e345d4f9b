"""From a graph of ATen operators to the Python program that Inductor would run on CUDA: which buffers it makes, when it lets them go.

The steps are those of `torch/_inductor/compile_fx.py`, `_InProcessFxCompile.codegen_and_compile` (2.13), up to the text of the wrapper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx
from torch._guards import detect_fake_mode
from torch._inductor import compile_fx, config
from torch._inductor.debug import DebugContext
from torch._inductor.fx_passes.post_grad import view_to_reshape
from torch._inductor.graph import GraphLowering
from torch._inductor.virtualized import V
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree

from vramcast.backends.compile.cuda_for_inductor import cuda_for_inductor
from vramcast.backends.compile.module_origins import with_modules

_CUDA = torch.device("cuda", 0)
_SETTINGS: dict[str, Any] = {
    "graph_partition": False,  # one function; partitions part graphs for CUDA graphs and move no buffers
    "compile_threads": 1,
    "combo_kernels": False,
}


@dataclass(frozen=True, slots=True)
class Wrapper:
    """The generated program."""

    source: str
    """Python that defines `call(args)`, with what it needs before it."""
    constants: dict[str, torch.Tensor]
    """Tensors it refers to by name."""
    modules: tuple[str, ...]
    """Paths of modules, beneath the one that is compiled: `enter_module(i)` in the source says that what follows is of the i-th."""


def lower(
    module: fx.GraphModule, capability: tuple[int, int], *, is_inference: bool, is_backward: bool, decompositions: Callable[..., Any]
) -> Wrapper:
    """Return the wrapper of a graph that was traced on the CPU, as it would be for CUDA. The graph is changed.

    Raises whatever Inductor raises where it has no lowering.
    """
    mode = detect_fake_mode([node.meta["val"] for node in module.graph.find_nodes(op="placeholder")])
    with cuda_for_inductor(capability), config.patch(_SETTINGS):
        with mode or FakeTensorMode():
            inputs = _moved_to_cuda(module)
        view_to_reshape(module)
        with torch.no_grad():
            mode = compile_fx.fake_tensor_prop(module, inputs, force_allow_non_fake_inputs=True)
        compile_fx._recursive_record_original_output_strides(module)
        with V.set_fake_mode(mode), DebugContext():
            compile_fx._recursive_post_grad_passes(module, is_inference=is_inference)
            with compile_fx.maybe_disable_comprehensive_padding(inputs):
                return _generated(module, inputs, is_inference, is_backward, decompositions)


def _generated(
    module: fx.GraphModule, inputs: Sequence[Any], is_inference: bool, is_backward: bool, decompositions: Callable[..., Any]
) -> Wrapper:  # fmt: skip
    graph = GraphLowering(
        module, example_inputs=inputs, shape_env=None, graph_id=0, is_inference=is_inference, is_backward=is_backward, get_decomp_fn=decompositions
    )
    with V.set_graph_handler(graph), V.set_extern_kernel_nodes([]):
        graph.run(*inputs)
        code, _ = graph.codegen()
    source, modules = with_modules(_without_imports(code.value), graph, module.graph.nodes)
    return Wrapper(source, dict(graph.constants), modules)


def _moved_to_cuda(module: fx.GraphModule) -> list[Any]:
    """Give every input a CUDA tensor and let every factory make one; return the inputs."""
    inputs: list[Any] = []
    for node in module.graph.nodes:
        if node.op == "placeholder":
            value = node.meta["val"]
            if isinstance(value, torch.Tensor):
                value = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=_CUDA)
            node.meta["val"] = value
            inputs.append(value)
        elif node.op == "call_function":
            node.args, node.kwargs = pytree.tree_map_only(torch.device, _on_cuda, (node.args, dict(node.kwargs)))
    return inputs


def _on_cuda(device: torch.device) -> torch.device:
    return _CUDA if device.type == "cpu" else device


def _without_imports(source: str) -> str:
    """Keep the functions: what stands between the kernels, of which there are none, and the benchmark at the end."""
    _, _, functions = source.partition("del async_compile\n")
    return functions.partition("\ndef get_args(")[0].partition("\ndef benchmark_compiled_module(")[0]
