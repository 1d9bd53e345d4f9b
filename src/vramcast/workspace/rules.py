"""The table: which rule says what scratch an operator takes. A rule is a function in a file of this folder and a line here."""

from __future__ import annotations

from collections.abc import Mapping

from vramcast.workspace import attention, cublas, detection, rnn, sorting
from vramcast.workspace.cudnn_convolution import ConvolutionRule
from vramcast.workspace.scratch import Rule


def rules_with(convolution: ConvolutionRule) -> Mapping[str, Rule]:
    """Return the table with a certain rule for cuDNN's convolutions; keys are operator names without namespace."""
    return {
        **dict.fromkeys(cublas.OPERATORS, cublas.gemm),
        "convolution": convolution.forward,
        "convolution_backward": convolution.backward,
        "_scaled_dot_product_flash_attention": attention.flash_forward,
        "_scaled_dot_product_flash_attention_backward": attention.flash_backward,
        "_scaled_dot_product_efficient_attention_backward": attention.efficient_backward,
        "_scaled_dot_product_cudnn_attention_backward": attention.cudnn_backward,
        "_cudnn_rnn": rnn.forward,
        "_cudnn_rnn_backward": rnn.backward,
        "sort": sorting.sort,
        "argsort": sorting.sort,
        "_unique2": sorting.unique,
        "unique_dim": sorting.unique,
        "embedding_dense_backward": sorting.embedding_backward,
        **dict.fromkeys(("index_put", "index_put_", "_index_put_impl_"), sorting.index_put),
        "nms": detection.nms,
    }


RULES = rules_with(ConvolutionRule())
