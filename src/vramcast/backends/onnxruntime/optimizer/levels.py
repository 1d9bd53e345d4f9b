"""Which rewritings belong to which level (`GraphOptimizationLevel`, `core/optimizer/graph_transformer_utils.cc`).

They are a part of what ONNX Runtime does: those that take tensors away. What is left out only moves or renames (constant sharing, the joining of
reshapes), is seldom met (most of the transpose optimizer, quantized graphs), or finds nothing in what torch 2.13 exports: of BERT, DistilBERT, GPT-2
and ViT of transformers onnxruntime 1.32.0 makes no `Attention`, `MultiHeadAttention` or `EmbedLayerNormalization`. Until it has looked for them, at
the level "basic", it leaves the biases of a BERT's projections alone, which here become part of the product at that level too.
`tests/backends/onnxruntime/test_against_real_runs.py` holds the outcome against the graphs that onnxruntime 1.32.0 writes
(`optimized_model_filepath`). Its CPU build fuses for its CPU provider; the rules for convolutions below are the CUDA provider's. Level "layout"
(`NchwcTransformer` and its kin) has no meaning for the CUDA provider.
"""

from __future__ import annotations

from collections.abc import Callable

from vramcast.backends.onnxruntime.optimizer.activations import fuse_bias_gelu, fuse_fast_gelu, fuse_gelu, fuse_quick_gelu
from vramcast.backends.onnxruntime.optimizer.cleaning import drop_without_effect, fold_constants, merge_equal
from vramcast.backends.onnxruntime.optimizer.convolutions import fold_scales, fuse_activations
from vramcast.backends.onnxruntime.optimizer.normalizations import fuse_layer_normalizations, fuse_skips
from vramcast.backends.onnxruntime.optimizer.products import fuse_biases, fuse_scales, fuse_transposes
from vramcast.backends.onnxruntime.optimizer.transposes import move_transposes, split_gathers
from vramcast.backends.onnxruntime.session_graph import GraphEditor, SessionGraph
from vramcast.onnxruntime_options import OptimizationLevel

Pass = Callable[[GraphEditor], None]

_BASIC: tuple[Pass, ...] = (
    drop_without_effect,
    merge_equal,
    fold_constants,
    fold_scales,
    fuse_gelu,
    fuse_layer_normalizations,
    move_transposes,
    fuse_biases,
)
_EXTENDED: tuple[Pass, ...] = (
    fuse_activations, split_gathers, fuse_scales, fuse_transposes, fuse_scales, fuse_fast_gelu, fuse_bias_gelu, fuse_skips, fuse_quick_gelu,
)  # fmt: skip
"""ONNX Runtime goes round until nothing changes; one scale may stand before a transpose, another behind it."""
_PASSES: dict[OptimizationLevel, tuple[Pass, ...]] = {
    "disable_all": (), "basic": _BASIC, "extended": (*_BASIC, *_EXTENDED), "all": (*_BASIC, *_EXTENDED),
}  # fmt: skip


def optimize(graph: SessionGraph, level: OptimizationLevel) -> SessionGraph:
    """Return the graph that the session runs."""
    editor = GraphEditor(graph)
    for rewrite in _PASSES[level]:
        rewrite(editor)
    return editor.finished()
