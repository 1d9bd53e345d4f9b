"""Names find models: in full, bare, as paths; what is unknown, ambiguous or not installed is said in a sentence."""

import subprocess
import sys

import pytest

from vramcast.errors import AmbiguousNameError, InvalidFileError, MissingExtraError, UnknownNameError, UsageError
from vramcast.sources import packages, registry
from vramcast.sources.timm import Timm


@pytest.fixture
def without_timm(monkeypatch):
    """As if timm were not installed."""
    real = packages.find_spec
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == "timm" else real(name))


def test_a_full_name_finds_its_model():
    model = registry.find("torchvision:resnet50")
    assert (model.source, model.name, model.task, model.image, model.classes) == ("torchvision", "resnet50", "classify", (224, 224), 1000)


@pytest.mark.parametrize(("bare", "source"), [("vit_b_16", "torchvision"), ("yolov8n", "ultralytics"), ("yolov5nu", "ultralytics")])
def test_a_bare_name_finds_the_one_source_that_has_it(bare, source):
    assert registry.find(bare).source == source


def test_a_bare_name_of_several_sources_is_refused_with_all_of_them():
    with pytest.raises(AmbiguousNameError) as caught:
        registry.find("resnet50")
    assert caught.value.candidates == ("torchvision:resnet50", "timm:resnet50")


def test_a_folder_named_like_a_model_makes_the_name_ambiguous(tmp_path, monkeypatch):
    (tmp_path / "yolov8n").mkdir()
    (tmp_path / "yolov8n" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AmbiguousNameError) as caught:
        registry.find("yolov8n")
    assert caught.value.candidates == ("ultralytics:yolov8n", "transformers:yolov8n")


def test_an_unknown_name_is_answered_with_the_closest_of_all_sources():
    with pytest.raises(UnknownNameError) as caught:
        registry.find("yolov8")
    assert caught.value.kind == "model"
    assert "yolov8n" in caught.value.closest


def test_an_unknown_source_is_answered_with_the_sources():
    with pytest.raises(UnknownNameError) as caught:
        registry.find("torchvison:resnet50")
    assert (caught.value.kind, caught.value.name) == ("source", "torchvison")
    assert "torchvision" in caught.value.closest


def test_a_path_that_is_not_there_is_an_invalid_file():
    with pytest.raises(InvalidFileError, match="no file or folder"):
        registry.find("./nowhere")


def test_a_missing_package_is_an_error_of_its_source_alone(without_timm):
    assert registry.find("vit_b_16").source == "torchvision"
    with pytest.raises(MissingExtraError, match=r"vramcast\[zoo\]"):
        registry.find("timm:resnet50")


def test_a_missing_package_makes_its_names_unambiguous_and_is_reported(without_timm):
    assert registry.find("resnet50").source == "torchvision"
    listing = registry.listing()
    assert [error.package for error in listing.missing] == ["timm"]
    assert not any(name.startswith("timm:") for name in listing.names)


def test_a_name_not_found_says_which_source_was_not_searched(without_timm):
    with pytest.raises(UnknownNameError, match=r"Not searched: .*timm"):
        registry.find("no_such_model_at_all")


@pytest.mark.parametrize(
    ("pattern", "first"),
    [("resnet50*", "torchvision:resnet50"), ("timm:vit_base_mci*", "timm:vit_base_mci_224"), ("yolo11n-s", "ultralytics:yolo11n-seg")],
)
def test_names_are_listed_by_pattern_or_part(pattern, first):
    assert next(registry.names(pattern)) == first


def test_every_name_is_listed_once_without_a_pattern():
    names = list(registry.names())
    assert len(names) == len(set(names)) > 1500


def test_two_sources_of_one_name_are_refused():
    with pytest.raises(UsageError, match="'timm' is registered twice, by Timm and by Timm"):
        registry.table([Timm(), Timm()])


def test_listing_and_refusing_names_imports_no_package():
    code = (
        "import sys; from vramcast.sources import registry; list(registry.names())\n"
        "try: registry.find('resnet50')\n"
        "except registry.AmbiguousNameError: pass\n"
        "registry.find('ultralytics:yolov8n')\n"
        "print([name for name in ('torch', 'torchvision', 'timm', 'ultralytics', 'transformers') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
