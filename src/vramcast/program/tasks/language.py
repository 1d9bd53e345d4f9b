"""Language models: next-token and masked-token losses as transformers computes them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from vramcast.program.probe import Probe
from vramcast.program.tasks.interface import Batch, Setting, labels

DEFAULT_SEQUENCE = 512
"""Tokens per sample where neither workload nor model says."""


class LanguageModel:
    """Token ids N x S; the module computes its own loss from labels N x S."""

    def prepare(self, module: nn.Module, setting: Setting, probe: Probe) -> None:
        """Training keeps no cache of keys and values (transformers' Trainer turns it off)."""
        config = getattr(module, "config", None)
        if config is not None and setting.workload.is_training:
            config.use_cache = False

    def batch(self, setting: Setting) -> Batch:
        """Token ids, an attention mask as the tokenizer makes it, and labels."""
        ids = labels(setting, setting.batch, sequence_length(setting))
        targets = labels(setting, *ids.shape) if setting.workload.is_training else None
        return Batch(keywords={"input_ids": ids}, targets=targets)

    def outputs(self, module: nn.Module, batch: Batch) -> Any:
        """The module's output object."""
        return module(**batch.keywords)

    def loss(self, module: nn.Module, batch: Batch) -> tuple[Any, torch.Tensor]:
        """The loss the module itself computes."""
        outputs = module(**batch.keywords, labels=batch.targets)
        return outputs, outputs.loss

    def after_inference(self, module: nn.Module, outputs: Any, batch: Batch) -> Any:
        """The logits are kept, as evaluation loops do."""
        return outputs


class Seq2Seq(LanguageModel):
    """Token ids for encoder and decoder, of the same length."""

    def batch(self, setting: Setting) -> Batch:
        """As a language model's; without labels to make it from, the decoder's input is given."""
        batch = super().batch(setting)
        if setting.workload.is_training:
            return batch
        return replace(batch, keywords={**batch.keywords, "decoder_input_ids": torch.zeros_like(batch.keywords["input_ids"])})


class Encode(LanguageModel):
    """Token ids to hidden states; no loss of its own, so their mean."""

    def batch(self, setting: Setting) -> Batch:
        """Token ids; images for models without a sequence."""
        if setting.model.sequence is None and setting.workload.seq is None and setting.model.image is not None:
            from vramcast.program.tasks.interface import images

            return Batch(args=(images(setting),))
        return Batch(keywords={"input_ids": labels(setting, setting.batch, sequence_length(setting))})

    def outputs(self, module: nn.Module, batch: Batch) -> Any:
        """Hidden states."""
        return module(*batch.args, **batch.keywords)

    def loss(self, module: nn.Module, batch: Batch) -> tuple[Any, torch.Tensor]:
        """The mean of the last hidden state."""
        outputs = self.outputs(module, batch)
        hidden = outputs[0] if not isinstance(outputs, torch.Tensor) else outputs
        return outputs, hidden.float().mean()


def sequence_length(setting: Setting) -> int:
    """Return the tokens per sample: the workload's, the model's, or `DEFAULT_SEQUENCE` cut to what the model takes."""
    length = setting.workload.seq or setting.model.sequence or DEFAULT_SEQUENCE
    return min(length, setting.model.max_sequence or length)
