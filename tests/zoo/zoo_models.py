"""Models of many families, small enough to be traced in a moment, and how each is run."""

from __future__ import annotations

from typing import Any, NamedTuple


class Run(NamedTuple):
    """A model by its name, and the fields of its workload."""

    name: str
    fields: dict[str, Any]

    def __str__(self) -> str:
        return " ".join((self.name.rpartition(":")[2], *(str(value) for value in self.fields.values() if isinstance(value, str))))


def _runs(source: str, names: str, **fields: Any) -> list[Run]:
    return [Run(f"{source}:{name}", fields) for name in names.split()]


TORCHVISION = [
    *_runs("torchvision", "alexnet vgg11_bn googlenet densenet121 shufflenet_v2_x0_5 squeezenet1_1", batch=2, image=224, precision="amp-fp16"),
    *_runs("torchvision", "resnet18 mobilenet_v3_small regnet_y_400mf efficientnet_b0", batch=2, image=64, channels_last=True, precision="amp-bf16"),
    *_runs("torchvision", "vit_b_32 swin_v2_t", batch=1, image=224, checkpointing=True),
    *_runs("torchvision", "inception_v3", batch=2, image=299),
    *_runs("torchvision", "lraspp_mobilenet_v3_large deeplabv3_mobilenet_v3_large", batch=2, image=128, precision="amp-bf16"),
    *_runs("torchvision", "fcn_resnet50", batch=2, image=128, mode="infer"),
    *_runs("torchvision", "r2plus1d_18", batch=1, image=64),
    *_runs("torchvision", "s3d", batch=1, image=224, mode="infer"),
    *_runs("torchvision", "mvit_v2_s", batch=1, image=224, precision="amp-fp16"),
    *_runs("torchvision", "fasterrcnn_mobilenet_v3_large_320_fpn ssdlite320_mobilenet_v3_large", batch=2, image=128, precision="amp-fp16"),
    *_runs("torchvision", "maskrcnn_resnet50_fpn fcos_resnet50_fpn retinanet_resnet50_fpn_v2", batch=1, image=128),
    *_runs("torchvision", "ssd300_vgg16 keypointrcnn_resnet50_fpn", batch=1, image=128, mode="infer", steps=2),
]
ULTRALYTICS = [
    *_runs("ultralytics", "yolov3-tiny yolov5n yolov6n yolov8n-seg yolov9t yolov10n yolo11n-pose yolo12n", batch=2, image=128, precision="amp-fp16"),
    *_runs("ultralytics", "yolo11n-obb yolo26n-seg yolo26n-pose rtdetr-resnet50", batch=2, image=128, precision="amp-bf16"),
    *_runs("ultralytics", "yolo11n-cls yolov8n-worldv2", batch=2, image=128, optimizer="sgd"),
    *_runs("ultralytics", "yolo26n yolo11n-seg", batch=2, image=128, mode="infer", precision="fp16"),
]
TIMM = [
    *_runs("timm", "convnext_atto efficientnet_lite0 mobilenetv4_conv_small edgenext_xx_small regnetx_002", batch=2, image=64, channels_last=True),
    *_runs("timm", "vit_tiny_patch16_224 deit_tiny_distilled_patch16_224 eva02_tiny_patch14_224 mixer_s32_224", batch=1, precision="amp-bf16"),
    *_runs("timm", "swin_tiny_patch4_window7_224 hiera_tiny_224 coatnet_0_rw_224", batch=1, precision="amp-fp16"),
    *_runs("timm", "xcit_nano_12_p16_224 cait_xxs24_224", batch=1, mode="infer"),
    *_runs("timm", "maxvit_pico_rw_256 beit_base_patch16_224", batch=1, checkpointing=True),
]

_TRANSFORMER = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128, "vocab_size": 500}
_GROUPED = _TRANSFORMER | {"num_key_value_heads": 2}
_DETR = {
    "d_model": 64, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 128,
    "decoder_ffn_dim": 128, "use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None,
    "backbone_config": {"model_type": "resnet", "out_features": ["stage4"]},
}  # fmt: skip
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "BertForMaskedLM": {"model_type": "bert", **_TRANSFORMER},
    "RobertaForSequenceClassification": {"model_type": "roberta", **_TRANSFORMER},
    "GPT2LMHeadModel": {"model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 500},
    "LlamaForCausalLM": {"model_type": "llama", **_GROUPED},
    "MistralForCausalLM": {"model_type": "mistral", **_GROUPED},
    "Qwen2ForCausalLM": {"model_type": "qwen2", **_GROUPED},
    "MixtralForCausalLM": {"model_type": "mixtral", "num_local_experts": 4, **_GROUPED},
    "T5ForConditionalGeneration": {
        "model_type": "t5", "d_model": 64, "num_layers": 2, "num_heads": 4, "d_kv": 16, "d_ff": 128, "vocab_size": 500, "decoder_start_token_id": 0,
    },
    "ViTForImageClassification": {"model_type": "vit", "image_size": 64, **_TRANSFORMER},
    "DetrForObjectDetection": {"model_type": "detr", **_DETR},
}  # fmt: skip
"""Contents of `config.json` by architecture."""

RECURRENT = """
import torch
from torch import nn


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.rnn = kind(16, 32, num_layers=2, batch_first=True)
        self.head = nn.Linear(32, 5)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


def lstm():
    return Recurrent(nn.LSTM)


def gru():
    return Recurrent(nn.GRU)
"""
"""A user's file."""
