"""Which operators there is anything to know of: those that shape inference has a rule for, or that ONNX spells out as others."""

from __future__ import annotations

import onnx
import onnx_ir as ir
from onnx_shape_inference import registry

from vramcast.onnx_graph.contrib_shapes import register_contrib_shapes


def can_be_inferred(model: ir.Model, node: ir.Node) -> bool:
    """Tell whether shape inference knows the operator in the model's version of its domain."""
    register_contrib_shapes()
    domain = node.domain or ""
    version = model.opset_imports.get(domain)
    return registry.get(domain, node.op_type, version=version) is not None or bool(onnx.defs.has(node.op_type, version or 1, domain))
