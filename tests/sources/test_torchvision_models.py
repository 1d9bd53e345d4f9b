"""torchvision's models: names, descriptions, and parameter counts as published by torchvision."""

import pytest
from torch import nn

from vramcast.errors import UnknownNameError
from vramcast.sources.building import on_meta
from vramcast.sources.torchvision import Torchvision
from vramcast.sources.torchvision_import import import_torchvision


def built(name, classes=None):
    with on_meta():
        return Torchvision().load(name).build(classes)


def size(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_names_read_from_the_source_are_those_torchvision_registers():
    registered = {name for name in import_torchvision().models.list_models() if not name.startswith("quantized_")}
    assert set(Torchvision().names()) == registered


@pytest.mark.parametrize(
    "name", ["efficientnet_b0", "maxvit_t", "swin_t", "r3d_18", "mvit_v2_s", "ssd300_vgg16", "retinanet_resnet50_fpn", "raft_small"]
)
def test_a_model_on_meta_has_the_published_number_of_parameters(name):
    module = built(name)
    published = import_torchvision().models.get_model_weights(name).DEFAULT.meta["num_params"]
    assert size(module) == published
    assert all(tensor.is_meta for tensor in [*module.parameters(), *module.buffers()])


@pytest.mark.parametrize(("name", "parameters"), [("resnet50", 25_557_032), ("vit_b_16", 86_567_656), ("convnext_tiny", 28_589_128)])
def test_known_counts(name, parameters):
    assert size(built(name)) == parameters


@pytest.mark.parametrize(
    ("name", "task", "image", "fixed"),
    [
        ("inception_v3", "classify-aux", (299, 299), False),
        ("vit_h_14", "classify", (224, 224), True),
        ("deeplabv3_resnet50", "semantic-segment", (520, 520), False),
        ("fasterrcnn_resnet50_fpn", "detect", (800, 1333), False),
        ("ssd300_vgg16", "detect", (300, 300), False),
        ("maskrcnn_resnet50_fpn", "instance-segment", (800, 1333), False),
        ("keypointrcnn_resnet50_fpn", "keypoints", (800, 1333), False),
        ("mvit_v2_s", "video-classify", (224, 224), True),
        ("raft_small", "generic", None, False),
    ],
)
def test_a_model_is_described(name, task, image, fixed):
    model = Torchvision().load(name)
    assert (model.task, model.image, model.fixed_image) == (task, image, fixed)


@pytest.mark.parametrize(("name", "head"), [("resnet50", "fc.weight"), ("fcn_resnet50", "classifier.4.weight"), ("r3d_18", "fc.weight")])
def test_the_number_of_classes_reaches_the_head(name, head):
    assert built(name, classes=7).get_parameter(head).shape[0] == 7


def test_the_number_of_classes_reaches_a_detector():
    assert built("fasterrcnn_resnet50_fpn", classes=7).roi_heads.box_predictor.cls_score.out_features == 7


def test_a_detector_freezes_what_a_pretrained_backbone_freezes_and_downloads_nothing(monkeypatch):
    import_torchvision()
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", lambda *args, **kwargs: pytest.fail("a download was tried"))
    module = built("fasterrcnn_resnet50_fpn")
    assert not any(type(layer).__name__ == "BatchNorm2d" for layer in module.backbone.body.modules())
    frozen = {name.split(".")[2] for name, parameter in module.named_parameters() if not parameter.requires_grad}
    assert frozen == {"conv1", "layer1"}


def test_weights_of_others_still_load():
    built("fasterrcnn_resnet50_fpn")
    with pytest.raises(RuntimeError, match="Missing key"):
        nn.Linear(2, 2).load_state_dict({})


def test_a_quantized_model_is_unknown():
    with pytest.raises(UnknownNameError, match="torchvision model"):
        Torchvision().load("quantized_resnet50")
