"""Small members of families of models, each with an input of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from vramcast.sources.torchvision_import import import_torchvision


@dataclasses.dataclass(frozen=True)
class Small:
    """A model and the shape of what it takes."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    is_tokens: bool = False

    def input(self, device: str) -> torch.Tensor:
        if self.is_tokens:
            return torch.zeros(self.shape, dtype=torch.int64, device=device)
        return torch.empty(self.shape, device=device).normal_()


class FirstOutput(nn.Module):
    """The first tensor of what a model returns."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: torch.Tensor) -> Any:
        outputs = self.model(inputs)
        return outputs[0] if not isinstance(outputs, torch.Tensor) else outputs


def resnet() -> nn.Module:
    import_torchvision()
    from torchvision.models import resnet

    return resnet.ResNet(resnet.BasicBlock, [1, 1, 1, 1], num_classes=10)


def vision_transformer() -> nn.Module:
    """Attention by matrix products: the CPU has other kernels for it than CUDA, which save other tensors."""
    import_torchvision()
    from timm.models.vision_transformer import VisionTransformer

    model = VisionTransformer(img_size=32, patch_size=8, embed_dim=32, depth=1, num_heads=2, num_classes=10)
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False
    return model


def mobilenet() -> nn.Module:
    import_torchvision()
    from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3

    settings = [
        InvertedResidualConfig(16, 3, 16, 16, True, "RE", 2, 1, 1.0),
        InvertedResidualConfig(16, 3, 64, 24, True, "HS", 2, 1, 1.0),
    ]
    return MobileNetV3(settings, 32, num_classes=10, dropout=0.0)


def gpt2() -> nn.Module:
    import_torchvision()
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(n_layer=1, n_embd=32, n_head=2, vocab_size=64, n_positions=32, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, use_cache=False)
    config._attn_implementation = "eager"
    return FirstOutput(GPT2LMHeadModel(config))


def bert() -> nn.Module:
    """With dropout, whose seeds are kept instead of masks."""
    import_torchvision()
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(num_hidden_layers=1, hidden_size=32, num_attention_heads=2, intermediate_size=64, vocab_size=64, max_position_embeddings=32)
    config._attn_implementation = "eager"
    return FirstOutput(BertForSequenceClassification(config))


def llama() -> nn.Module:
    import_torchvision()
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes: dict[str, Any] = {"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64}
    config = LlamaConfig(vocab_size=64, use_cache=False, **sizes)
    config._attn_implementation = "eager"
    return FirstOutput(LlamaForCausalLM(config))


def convnext() -> nn.Module:
    import_torchvision()
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    return ConvNeXt([CNBlockConfig(16, 32, 1), CNBlockConfig(32, None, 1)], num_classes=10)


class WithLoss(nn.Module):
    """A language model that computes its own loss."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: torch.Tensor) -> Any:
        return self.model(inputs, labels=inputs).loss


def gpt2_with_loss() -> nn.Module:
    """GPT-2 breaks the graph where transformers warns of its loss."""
    return WithLoss(gpt2().model)


class Broken(nn.Module):
    """Two perceptrons with a graph break between them, and eager work at the break."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))
        self.second = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden = self.first(inputs)
        torch._dynamo.graph_break()
        output: torch.Tensor = self.second(hidden)
        return output


def yolo() -> nn.Module:
    """The first stages of YOLO11n: its convolutions, C3k2 and SPPF blocks."""
    import_torchvision()
    from ultralytics.nn.modules import SPPF, C3k2, Conv

    return nn.Sequential(Conv(3, 16, 3, 2), Conv(16, 32, 3, 2), C3k2(32, 64, 1, False, 0.25), SPPF(64, 64, 5))


def stem() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 16, 3, bias=False), nn.BatchNorm2d(16), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 8))


WHOLE = {
    "resnet": Small(resnet, (2, 3, 64, 64)),
    "vision_transformer": Small(vision_transformer, (2, 3, 32, 32)),
    "gpt2": Small(gpt2, (2, 32), is_tokens=True),
    "mobilenet": Small(mobilenet, (2, 3, 32, 32)),
    "stem": Small(stem, (2, 3, 16, 16)),
    "yolo": Small(yolo, (2, 3, 32, 32)),
    "bert": Small(bert, (2, 32), is_tokens=True),
    "llama": Small(llama, (2, 32), is_tokens=True),
    "convnext": Small(convnext, (2, 3, 32, 32)),
}
"""What dynamo captures as one graph."""
BROKEN = {"gpt2_with_loss": Small(gpt2_with_loss, (2, 32), is_tokens=True), "broken": Small(Broken, (4, 32))}
"""What has graph breaks."""
MODELS = WHOLE | BROKEN
