"""Models built by a callable of the user's own, in a file or a module."""

import sys

import pytest

from vramcast.errors import InvalidFileError, ModelError, UnknownNameError
from vramcast.sources import registry
from vramcast.sources.building import build_on_meta
from vramcast.sources.python_callable import load_callable

NET = """
from __future__ import annotations
from dataclasses import dataclass
from torch import nn
from sizes import WIDTH

@dataclass
class Config:
    depth: int = 2

def build():
    return nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(Config().depth)))

def with_head(num_classes: int = 10):
    return nn.Linear(WIDTH, num_classes)

def nothing(): ...

def broken():
    raise ValueError("no weights here")

NUMBER = 3
"""


@pytest.fixture
def net(tmp_path, monkeypatch):
    (tmp_path / "sizes.py").write_text("WIDTH = 8\n")
    (tmp_path / "net_of_mine.py").write_text(NET)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "net_of_mine.py"
    for name in ("sizes", "net_of_mine", "_vramcast_net_of_mine"):
        sys.modules.pop(name, None)


def test_a_callable_in_a_file_builds_the_model(net):
    model = registry.find(f"{net}:build")
    module = build_on_meta(model)
    assert (model.source, model.task) == ("python-file", "generic")
    assert sum(parameter.numel() for parameter in module.parameters()) == 2 * (8 * 8 + 8)
    assert all(parameter.is_meta for parameter in module.parameters())


def test_a_callable_of_a_module_builds_the_model(net):
    model = registry.find("net_of_mine:with_head")
    assert model.source == "python-package"
    assert build_on_meta(model, 3).out_features == 3
    assert build_on_meta(model).out_features == 10


@pytest.mark.parametrize(
    ("attribute", "classes", "message"),
    [
        ("nothing", None, "returned None; it must return an nn.Module"),
        ("broken", None, r"raised ValueError: no weights here \(.*net_of_mine\.py, line 20\)"),
        ("build", 5, "takes no number of classes"),
    ],
)
def test_a_callable_that_builds_nothing_is_a_model_error(net, attribute, classes, message):
    with pytest.raises(ModelError, match=message):
        build_on_meta(registry.find(f"{net}:{attribute}"), classes)


def test_an_unknown_attribute_is_answered_with_the_closest(net):
    with pytest.raises(UnknownNameError) as caught:
        registry.find(f"{net}:biuld")
    assert "build" in caught.value.closest


def test_an_attribute_that_cannot_be_called_is_refused(net):
    with pytest.raises(InvalidFileError, match="is an int; it must be something that can be called"):
        registry.find(f"{net}:NUMBER")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = 1\nimport no_such_package\n", r"ModuleNotFoundError: No module named 'no_such_package' \(.*model\.py, line 2\)"),
        ("def build(:\n", r"SyntaxError: .*model\.py, line 1\)"),
        ("raise SystemExit(3)\n", r"SystemExit: 3 \(.*model\.py, line 1\)"),
    ],
)
def test_a_file_that_does_not_import_says_why_and_where(net, code, message):
    path = net.with_name("model.py")
    path.write_text(code)
    with pytest.raises(InvalidFileError, match=message):
        registry.find(f"{path}:build")
    assert "_vramcast_model" not in sys.modules


@pytest.mark.parametrize("text", ["net_of_mine.py", "net_of_mine.py:", "absent.py:build"])
def test_a_file_without_callable_or_not_there_is_refused(net, text):
    with pytest.raises(InvalidFileError):
        registry.find(text)


def test_any_callable_can_be_loaded():
    assert load_callable("torch.nn.functional:cross_entropy").__name__ == "cross_entropy"
    with pytest.raises(InvalidFileError, match="names no callable"):
        load_callable("cross_entropy")
