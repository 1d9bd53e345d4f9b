"""Which family of models a name belongs to: the unit in which errors are told apart."""

from __future__ import annotations

import re

_FAMILIES = (
    ("yolo", r"yolo|gelan"),
    ("vit", r"(gemma|qwen)\d+_vit"),  # image encoders of language models
    ("rt-detr", r"rtdetr"),
    ("llm", r"llama|falcon|mistral|phi|gemma|gpt|stablelm|qwen"),
    ("bert", r"bert"),
    ("swin", r"(?<!ab)swin"),
    ("maxvit", r"max(x)?vit|coat"),
    ("mobile", r"mobile(net|one|vit)|ghost|mnasnet|lcnet|mixnet|fbnet|hardcorenas|tinynet|spnasnet|semnasnet|rep(vit|ghost)|efficientformer|fastvit"),
    ("efficientnet", r"efficientnet|rexnet|tf_eff|gernet"),
    ("efficient-vit", r"efficientvit|levit|nextvit|edgenext|tiny_vit"),
    ("convnext", r"convnext|inception_next|convformer|caformer|poolformer|metaformer"),
    ("vit", r"vit|deit|beit|eva|cait|volo|xcit|sam|hiera|flexivit|crossvit|tnt|(?<!s)nest|twins|pvt|pit_|convit|visformer|focalnet|mixer|mlp"),
    ("regnet", r"regnet"),
    ("plain", r"vgg|repvgg|alexnet|darknet|cs3"),
    ("dense", r"densenet|inception|xception|dla|hrnet|vovnet|dpn|nasnet|hgnet|selecsls"),
    ("resnet", r"res(ne|ne[sx]|2ne)t|nfnet|nf_res|botnet|rexnet|resmlp|tresnet|resnest|halonet|lambda|sknet|bat_res|eca_|senet"),
)  # fmt: skip
"""Family and what the names of its models contain; the first that matches wins."""


def family_of(model: str) -> str:
    """Return the family of a model's full name, `other` where none is known: `timm:resnet50d.a1_in1k` is a `resnet`."""
    name = model.partition(":")[2].lower() or model.lower()
    return next((family for family, pattern in _FAMILIES if re.search(pattern, name)), "other")
