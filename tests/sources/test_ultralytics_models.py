"""ultralytics' models: names from the YAMLs, built on meta with their real strides, without network, files or output."""

import logging
import os
import socket

import pytest

from vramcast.errors import UnknownNameError
from vramcast.sources.building import on_meta
from vramcast.sources.packages import folder_of
from vramcast.sources.ultralytics import Ultralytics, _import_tasks, _recipes


def test_every_yaml_has_a_name():
    package = folder_of("ultralytics")
    assert {recipe.path for recipe in _recipes(package).values()} == set((package / "cfg" / "models").rglob("*.yaml"))
    assert {"yolov8n", "yolo11s-seg", "yolov5n-p6", "yolov9c", "yolov10b", "rtdetr-l"} <= set(Ultralytics().names())


def test_the_task_of_a_name_is_that_of_its_yaml():
    tasks = _import_tasks()
    for name, recipe in _recipes(folder_of("ultralytics")).items():
        task = Ultralytics().load(name).task
        guessed = tasks.guess_model_task(tasks.YAML.load(recipe.path)) if "rtdetr" not in name else "detect"
        assert task in (f"yolo-{guessed}", "generic"), name


@pytest.mark.parametrize(
    ("name", "task", "parameters", "stride", "image"),
    [
        ("yolov8n", "yolo-detect", 3_157_200, 32, (640, 640)),
        ("yolo11n-seg", "yolo-segment", 2_876_848, 32, (640, 640)),
        ("yolov8n-pose", "yolo-pose", 3_295_470, 32, (640, 640)),
        ("yolo11n-obb", "yolo-obb", 2_695_747, 32, (640, 640)),
        ("yolov8n-cls", "yolo-classify", 2_719_288, 1, (224, 224)),
        ("yolov5n-p6", "yolo-detect", 4_334_896, 64, (640, 640)),
        ("yolov10n", "yolo-detect", 2_775_520, 32, (640, 640)),
        ("rtdetr-l", "yolo-detect", 32_970_476, 32, (640, 640)),
        ("yolo11-cls-resnet18", "yolo-classify", 13_115_432, 1, (224, 224)),
    ],
)
def test_a_model_on_meta_has_its_parameters_and_real_strides(name, task, parameters, stride, image):
    model = Ultralytics().load(name)
    with on_meta():
        module = model.build(None)
    assert (model.task, model.stride, model.image) == (task, stride, image)
    assert sum(parameter.numel() for parameter in module.parameters()) == parameters
    assert all(tensor.is_meta for tensor in [*module.parameters(), *module.buffers()])
    assert float(module.stride.max()) == stride


def test_the_number_of_classes_reaches_the_head():
    with on_meta():
        assert Ultralytics().load("yolov8n").build(3).model[-1].nc == 3


@pytest.mark.parametrize(
    ("weights", "name"),
    [
        ("yolov5nu", "yolov5n"),
        ("yolov5n6u", "yolov5n-p6"),
        ("yolov3-sppu", "yolov3-spp"),
        ("yolov8x6", "yolov8x-p6"),
        ("yolo11n-seg.pt", "yolo11n-seg"),
    ],
)
def test_names_of_released_weights_are_understood(weights, name):
    assert Ultralytics().load(weights).name == name


def test_a_name_without_its_scale_is_answered_with_the_scales():
    with pytest.raises(UnknownNameError) as caught:
        Ultralytics().load("yolov8-seg")
    assert "yolov8n-seg" in caught.value.closest


def test_building_touches_neither_network_nor_environment_nor_output(monkeypatch, capfd, caplog, tmp_path):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("HOME", str(tmp_path))
    before = dict(os.environ)
    with caplog.at_level(logging.WARNING), on_meta():
        Ultralytics().load("yolov8n-cls-resnet50").build(7)
    assert dict(os.environ) == before
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
