"""The subjects as entry points that other tools can name."""

from benchmarks.subjects import subjects

_SUBJECTS = subjects()

resnet_50 = _SUBJECTS["ResNet-50"].build
vit_b_16 = _SUBJECTS["ViT-B/16"].build
convnext_t = _SUBJECTS["ConvNeXt-T"].build
yolo11m = _SUBJECTS["YOLO11m"].build
bert_base = _SUBJECTS["BERT-base"].build
