"""timm's models, with and without pretrained tags."""

import pytest

from vramcast.errors import UnknownNameError
from vramcast.sources.building import on_meta
from vramcast.sources.timm import Timm, _import_timm


def test_the_names_read_from_the_source_are_those_timm_registers():
    assert set(Timm().names()) == set(_import_timm().list_models())


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("resnet50", 25_557_032),
        ("vit_base_patch16_224", 86_567_656),
        ("convnext_tiny", 28_589_128),
        ("efficientnet_b0", 5_288_548),
        ("mobilenetv3_large_100", 5_483_032),
        ("swin_tiny_patch4_window7_224", 28_288_354),
        ("deit_tiny_patch16_224", 5_717_416),
        ("mixer_s32_224", 19_104_624),
    ],
)
def test_a_model_on_meta_has_its_number_of_parameters(name, parameters):
    with on_meta():
        module = Timm().load(name).build(None)
    assert sum(parameter.numel() for parameter in module.parameters()) == parameters
    assert all(tensor.is_meta for tensor in [*module.parameters(), *module.buffers()])


@pytest.mark.parametrize(
    "name", ["coatnet_0_rw_224", "maxvit_tiny_tf_224", "edgenext_xx_small", "mobilevit_s", "regnety_004", "beit_base_patch16_224"]
)
def test_varied_families_build_on_meta(name):
    with on_meta():
        module = Timm().load(name).build(5)
    assert all(tensor.is_meta for tensor in [*module.parameters(), *module.buffers()])
    assert module.num_classes == 5


@pytest.mark.parametrize(
    ("name", "task", "image", "fixed", "channels", "classes"),
    [
        ("resnet50", "classify", (224, 224), False, 3, 1000),
        ("vit_base_patch16_384", "classify", (384, 384), True, 3, 1000),
        ("convnext_tiny.in12k", "classify", (224, 224), False, 3, 11821),
        ("vit_small_patch14_dinov2", "encode", (518, 518), True, 3, None),
    ],
)
def test_a_model_is_described_by_its_pretrained_settings(name, task, image, fixed, channels, classes):
    model = Timm().load(name)
    assert (model.task, model.image, model.fixed_image, model.channels, model.classes) == (task, image, fixed, channels, classes)


def test_an_unknown_tag_is_answered_with_the_tags():
    with pytest.raises(UnknownNameError) as caught:
        Timm().load("resnet50.a9_in1k")
    assert "a1_in1k" in caught.value.closest
