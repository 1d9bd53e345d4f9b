"""Names that nothing answers to, or several things do: models, sources, cards, and packages that are not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

OWN = "`vramcast models` lists every model; name your own as path/to/file.py:build."
SOURCES = "Legal: torchvision, timm, ultralytics, transformers, gguf, onnx, python-file, python-package. Nor is there a Python module of that name."


def test_a_misspelt_model_is_answered_with_the_closest(refused):
    code, message = refused("estimate", "resnte50")
    assert code == 2
    assert message.startswith("no model is called 'resnte50'. Closest: ")
    assert "resnet50" in message
    assert message.endswith(f". {OWN}")


def test_a_model_that_resembles_nothing_is_answered_with_where_to_look(refused):
    assert refused("estimate", "qqqqqqqqqqqqqqq") == (2, f"no model is called 'qqqqqqqqqqqqqqq'. {OWN}")


def test_a_misspelt_model_of_a_source_is_answered_with_those_of_the_source(refused):
    code, message = refused("estimate", "torchvision:resnte50")
    assert code == 2
    assert message.startswith("no torchvision model is called 'resnte50'. Closest: resnet50, ")


def test_an_ambiguous_model_is_answered_with_all_full_names(refused):
    assert refused("estimate", "resnet50") == (
        2,
        "several models are called 'resnet50': torchvision:resnet50, timm:resnet50. Name one of them in full.",
    )


@pytest.mark.parametrize("prefix", ["torchvison", "no_such_package.models"])
def test_an_unknown_source_is_answered_with_the_sources(refused, prefix):
    closest = "Closest: torchvision. " if prefix == "torchvison" else ""
    assert refused("estimate", f"{prefix}:resnet50") == (2, f"no source is called {prefix!r}. {closest}{SOURCES}")


@pytest.mark.parametrize("text", ["", " ", ":", ":resnet50", "timm:", "ultralytics: "])
def test_a_name_that_names_nothing_is_refused(refused, text):
    assert refused("estimate", text) == (
        2,
        f"{text!r} names no model. Name one such as torchvision:resnet50 (`vramcast models` lists them), or your own as path/to/file.py:build.",
    )


@pytest.mark.parametrize(
    ("package", "model"),
    [
        ("timm", "timm:resnet50"),
        ("ultralytics", "ultralytics:yolov8n"),
        ("torchvision", "torchvision:resnet50"),
        ("transformers", "transformers:folder"),
    ],
)
def test_a_package_that_is_not_installed_is_named_with_its_extra(refused, monkeypatch, package, model):
    monkeypatch.setitem(sys.modules, package, None)
    assert refused("estimate", model) == (
        2,
        f"the model source {package!r} needs {package}, which is not installed. Install it with: pip install 'vramcast[zoo]'",
    )


def test_a_name_searched_in_vain_tells_which_package_was_not_there(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    code, message = refused("estimate", "qqqqqqqqqqqqqqq")
    assert (code, message) == (
        2,
        f"no model is called 'qqqqqqqqqqqqqqq'. {OWN} Not searched: the model source 'timm' needs timm, which is not installed. "
        "Install it with: pip install 'vramcast[zoo]'.",
    )


BROKEN = """
import sys, types
from vramcast.cli.main import main
sys.modules["torchvision"] = None
code = main(["estimate", "timm:resnet50"])
del sys.modules["torchvision"]
sys.modules["ultralytics.nn.modules"] = types.ModuleType("ultralytics.nn.modules")
sys.exit(code + main(["estimate", "ultralytics:yolov8n"]))
"""


def test_a_package_that_cannot_be_imported_is_no_failure_of_the_model():
    """In a process of its own, where the packages have not been imported yet."""
    result = subprocess.run([sys.executable, "-c", BROKEN], capture_output=True, text=True)
    assert result.returncode == 2 + 2
    absent, broken = result.stderr.splitlines()
    assert absent == (
        "vramcast: error: the model source 'timm' needs torchvision, which is not installed. Install it with: pip install 'vramcast[zoo]'"
    )
    assert broken.startswith("vramcast: error: the installed ultralytics cannot be imported: ImportError: cannot import name ")
    assert broken.endswith(". Install versions that go together with: pip install --upgrade 'vramcast[zoo]'")


def test_an_optimizer_whose_package_is_missing_is_told(refused, monkeypatch, here):
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    monkeypatch.setitem(sys.modules, "ultralytics.optim", None)
    (here / "model.py").write_text("from torch import nn\ndef build():\n    return nn.Linear(4, 4)\n")
    assert refused("estimate", "model.py:build", "--input", "input=2x4", "--train", "--optimizer", "musgd") == (
        2,
        "the optimizer 'musgd' needs ultralytics, which is not installed. Install it with: pip install 'vramcast[zoo]'",
    )


CARDS = "`vramcast gpus` lists every card; a size such as 24GiB will also do."


@pytest.mark.parametrize(
    ("card", "told"),
    [
        ("a100", "several cards are called 'a100': A100-SXM4-40GB, A100-SXM4-80GB. Name one of them in full."),
        ("0GiB", "a card of 0GiB holds nothing. Name a size such as 24GiB."),
        ("qqqqqqqqqqqq", f"no card is called 'qqqqqqqqqqqq'. {CARDS}"),
        ("-4GiB", f"no card is called '-4GiB'. {CARDS}"),
    ],
)
def test_a_card_that_is_none_is_refused_before_anything_is_built(refused, card, told):
    assert refused("estimate", "no such model", "--gpu", card) == (2, told)


def test_a_misspelt_card_is_answered_with_the_closest(refused):
    code, message = refused("estimate", "no such model", "--gpu", "rtx 4091")
    assert code == 2
    assert message.startswith("no card is called 'rtx 4091'. Closest: RTX 4090, ")
    assert message.endswith(f". {CARDS}")
