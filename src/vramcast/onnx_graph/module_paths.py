"""Which torch module called an operator, as far as an exporter of torch's wrote it down.

Two of them did: `torch.onnx.export(dynamo=True)` in each node's notes (torch 2.13, `onnx/_internal/exporter/_core.py`), the older one in the names of
nodes, `/model.2/m.0/cv1/conv/Conv` (since torch 1.13, `torch/csrc/jit/passes/onnx/naming.cpp`). Both write the modules that called one another, from
the outermost in, and a module's name is not always its whole path: it is that from the last module which was called by a bound method, or not as an
attribute. So each path is put together from the one around it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

import onnx_ir as ir

_SCOPES = "pkg.torch.onnx.name_scopes"
_NAME = re.compile(r"'([^']*)'")
"""One of the names in a note, which is a list as Python prints it."""
_WITH_FOLDED_NORM = frozenset({"Conv", "ConvTranspose", "Gemm"})
"""Operators that take batch normalisation in (onnxscript 0.7, `rewriter/rules/common/_fuse_batchnorm.py`); the notes left are those of the norm."""
_SLICE = re.compile(r"\.slice\((?:None|(\d+)), [^()]*\)\.(\d+)")
"""What torch 2.13 writes for a part of a slice of modules (`fx/experimental/proxy_tensor.py`)."""
_COUNT = re.compile(r"_\d+$")


def module_paths(graph: ir.Graph) -> list[str]:
    """Return a path for each node of a graph in order; empty for the outermost module, and where nothing is known."""
    parameters = [name.rpartition(".")[0] for name in graph.initializers]
    modules = {path[:end] for path in parameters for end, sign in enumerate(f"{path}.") if sign == "."} - {""}
    written = [_path(node, modules) for node in graph]
    known = [path and _without_count(path, modules, written) for path in written]
    return _with_neighbours(graph, known) if any(known) else [""] * len(known)


def _path(node: ir.Node, modules: Collection[str]) -> str | None:
    if node.op_type in _WITH_FOLDED_NORM and len(node.inputs) > 1 and node.inputs[1] is not None:
        owner, _, parameter = str(node.inputs[1].name).rpartition(".")
        if parameter == "weight":
            return owner
    scopes = _scopes(node)
    return None if scopes is None else _joined(scopes, modules)


def _scopes(node: ir.Node) -> list[str] | None:
    """Return the names of the modules around a node, without the operator's own; None: nothing is written down."""
    name = node.name or ""
    if name.startswith("/"):
        return name.split("/")[1:-1]
    scopes = _NAME.findall(node.metadata_props.get(_SCOPES, ""))
    return [scope for scope in scopes[:-1] if scope] if scopes else None


def _joined(scopes: Iterable[str], modules: Collection[str]) -> str:
    path = written = ""
    for scope in scopes:
        if written and scope.startswith(f"{written}."):
            path += scope[len(written) :]
        elif not path or (scope in modules and f"{path}.{scope}" not in modules):
            path = scope
        else:
            path += f".{scope}"
        written = scope
    return _SLICE.sub(lambda part: f".{int(part[1] or 0) + int(part[2])}", path)


def _without_count(path: str, modules: Collection[str], paths: Collection[str | None]) -> str:
    """Return the path of a module that is called again: the older exporter counts, and calls `relu` the first time `relu_1` the second."""
    called_first = _COUNT.sub("", path)
    return called_first if path not in modules and called_first in paths else path


def _with_neighbours(graph: ir.Graph, known: Sequence[str | None]) -> list[str]:
    """Put a node without notes, which an optimizer made, into the innermost module that holds what it reads and what reads it."""
    found = dict(zip(graph, known))
    for node, path in found.items():
        if path is None:
            makers = [maker for value in node.inputs if value is not None and (maker := value.producer()) is not None]
            around = [found[other] for other in (*makers, *node.successors()) if found.get(other) is not None]
            found[node] = _common([str(path) for path in around])
    return [path or "" for path in found.values()]


def _common(paths: Sequence[str]) -> str:
    shared: list[str] = []
    for names in zip(*(path.split(".") for path in paths)):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return ".".join(shared)
