"""Palette, bars, module choice, wording, table of reports, and the check before writing."""

from __future__ import annotations

import itertools
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from hand_made_estimates import HandMadeForecast, fitting
from hypothesis import given
from hypothesis import strategies as st

from vramcast.errors import OutputError, UnknownNameError
from vramcast.footprint import ModuleShare
from vramcast.reports import registry, wording
from vramcast.reports.bars import bar, card_bar
from vramcast.reports.files import check_writable
from vramcast.reports.glyphs import ASCII, UNICODE, shorten
from vramcast.reports.interface import TextReport
from vramcast.reports.palette import SWATCHES
from vramcast.reports.shares import largest_apart
from vramcast.trace import Component
from vramcast.workload import Habits, InputSpec, Workload

VISIONS = {
    "normal": np.eye(3),
    # Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB.
    "protan": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deutan": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
}
XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])


def linear(colour: str) -> np.ndarray:
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    x, y, z = np.cbrt(np.clip(XYZ @ np.clip(rgb, 0, 1) / XYZ.sum(axis=1), 0.008856, None))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", VISIONS)
def test_colours_stay_apart(vision: str) -> None:
    seen = {name: lab(VISIONS[vision] @ linear(swatch.colour)) for name, swatch in SWATCHES.items()}
    nearest = min((float(np.linalg.norm(seen[a] - seen[b])), a, b) for a, b in itertools.combinations(seen, 2))
    assert nearest[0] >= 10, nearest


def test_every_component_has_a_swatch_with_a_short_label() -> None:
    assert set(SWATCHES) == {component.label for component in Component} | {"reserved_unallocated", "cuda_context"}
    assert all(len(swatch.label) <= 16 for swatch in SWATCHES.values())
    assert len({swatch.label for swatch in SWATCHES.values()}) == len(SWATCHES)


@given(st.floats(0, 1), st.integers(1, 80), st.sampled_from([UNICODE, ASCII]))
def test_bar_never_overflows_and_shows_what_is_there(fraction: float, width: int, glyphs: object) -> None:
    drawn = bar(fraction, width, glyphs)
    assert len(drawn) <= width
    assert bool(drawn) == (fraction > 0)
    assert bar(1, width, glyphs) == glyphs.full * width


@given(st.dictionaries(st.sampled_from(sorted(SWATCHES)), st.integers(0, 2**40)), st.integers(1, 2**40), st.integers(10, 100))
def test_card_bar_fills_its_width_and_shows_any_excess(components: dict[str, int], usable: int, width: int) -> None:
    drawn = card_bar(components, usable, width, UNICODE).plain
    assert len(drawn) == width
    assert (UNICODE.beyond in drawn) == (sum(components.values()) > usable)


def share(name: str, size: int) -> ModuleShare:
    return ModuleShare(name=name, bytes=size, components={})


def test_largest_apart_looks_into_wrappers() -> None:
    shares = [share("", 100), share("model", 99), *(share(f"model.{i}", 10 + i) for i in range(8)), share("model.7.conv", 17)]
    assert [item.name for item in largest_apart(shares)] == ["model.7", "model.6", "model.5", "model.4", "model.3"]


def test_largest_apart_accepts_gaps_in_the_tree() -> None:
    assert [item.name for item in largest_apart([share("a", 9), share("a.b.c", 5), share("a.b.d", 4)])] == ["a.b.c", "a.b.d"]
    assert largest_apart([share("", 5)]) == ()


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(".".join), unique=True), st.data())
def test_largest_apart_never_nests(names: list[str], data: st.DataObject) -> None:
    shown = [item.name for item in largest_apart([share(name, data.draw(st.integers(1, 99))) for name in names])]
    assert len(shown) <= 5
    assert bool(shown) == bool(names)
    assert not any(inner.startswith(f"{outer}.") for inner, outer in itertools.permutations(shown, 2))


def test_shorten_keeps_the_end() -> None:
    assert shorten("model.layers.12.attn", 10, UNICODE) == "…s.12.attn"
    assert shorten("model.layers.12.attn", 10, ASCII) == "...12.attn"
    assert shorten("abcdef", 2, ASCII) == "ef"
    assert shorten("conv1", 5, UNICODE) == "conv1"


@pytest.mark.parametrize(
    ("number", "text"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (21, "21st"), (112, "112th")]
)
def test_ordinals(number: int, text: str) -> None:
    assert wording.ordinal(number) == text


@pytest.mark.parametrize(("part", "whole", "text"), [(0, 0, "-"), (0, 5, "0 %"), (1, 1000, "<1 %"), (1, 200, "0 %"), (1, 2, "50 %"), (5, 5, "100 %")])
def test_percent(part: int, whole: int, text: str) -> None:
    assert wording.percent(part, whole) == text


def test_task_names_shape_precision_and_what_is_unusual() -> None:
    language = Workload.train(batch=2, seq=512, precision="bf16", optimizer="adamw", optimizer_loop="fused", set_to_none=False, checkpointing=True)
    assert wording.task(language.as_dict(), ASCII) == "train | batch 2 | seq 512 | bf16 | adamw fused | checkpointing | no set to none"
    assert wording.task(language.as_dict(), ASCII, told={"checkpointing"}).endswith("adamw fused | no set to none")
    habits = Workload.train(habits=Habits(epoch="function", kept_outputs=2)).as_dict()
    assert wording.task(habits, ASCII) == "train | batch 1 | fp32 | adamw | habits epoch function kept outputs 2"
    named = Workload.infer(inputs=[InputSpec.parse("x=2x3x8:int64")]).as_dict()
    assert wording.task(named, ASCII) == "infer | batch 1 | x=2x3x8:int64 | fp32"


def test_registry_loads_each_report() -> None:
    assert registry.names() == ("terminal", "json", "snapshot")
    assert {name: isinstance(registry.load(name), TextReport) for name in registry.names()} == {"terminal": True, "json": True, "snapshot": False}
    with pytest.raises(UnknownNameError, match=r"jsn.*json"):
        registry.load("jsn")


@pytest.mark.parametrize(("file", "name"), [("a.json", "json"), ("a.PICKLE", "snapshot"), ("b.txt", "terminal"), ("a", None)])
def test_file_endings(file: str, name: str | None) -> None:
    assert registry.name_for(Path(file)) == name


def test_check_writable_leaves_nothing_behind(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text("old")
    check_writable(kept)
    check_writable(tmp_path / "new.json")
    assert [path.name for path in tmp_path.iterdir()] == ["kept.json"]
    assert kept.read_text() == "old"


def test_check_writable_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="folder"):
        check_writable(tmp_path)
    with pytest.raises(OutputError, match="no folder"):
        check_writable(tmp_path / "missing" / "x.json")
    with pytest.raises(OutputError, match="not a regular file"):
        check_writable(Path(os.devnull))
    with pytest.raises(OutputError, match="too long"):
        check_writable(tmp_path / ("x" * 5000))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_check_writable_sees_permissions(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(OutputError, match="denied"):
        check_writable(tmp_path / "x.json")


def test_terminal_report_is_saved_without_colours(tmp_path: Path) -> None:
    registry.load("terminal").save(HandMadeForecast(fitting()), tmp_path / "report.txt")
    text = (tmp_path / "report.txt").read_text(encoding="utf-8")
    assert text.startswith("fits: ")
    assert "\x1b" not in text
