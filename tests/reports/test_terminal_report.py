"""The terminal report: golden files, sums, and what it does where colours or Unicode are missing."""

from __future__ import annotations

import io
import re

import msgspec
import pytest
from hand_made_estimates import COMPONENTS, ESTIMATES, GOLDEN, HandMadeForecast, fitting, goldens, not_fitting, without_card
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vramcast.footprint import CaveatNote, Estimate, ModuleShare
from vramcast.reports.glyphs import ASCII, UNICODE
from vramcast.reports.interface import TextReport
from vramcast.reports.palette import SWATCHES
from vramcast.reports.terminal import TerminalReport, render_plain
from vramcast.units import format_gib

FACTORS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
FIGURE = r"(\d+(?:\.\d+)?) (B|[KMGT]iB)"
SCREEN = 40


@pytest.mark.parametrize("name", sorted(goldens()))
def test_golden_file(name: str) -> None:
    assert goldens()[name].decode() == (GOLDEN / name).read_text(encoding="utf-8"), (
        "run tests/reports/hand_made_estimates.py and look at the difference"
    )


def printed_figures(text: str) -> dict[str, tuple[float, float]]:
    """Label -> bytes as printed, and how far rounding may have moved them."""
    labels = [swatch.label for swatch in SWATCHES.values()]
    pattern = re.compile(rf"^  ({'|'.join(labels)}|total) +{FIGURE}(?:  |$)", re.MULTILINE)
    return {label: (float(number) * FACTORS[unit], 0.005 * FACTORS[unit]) for label, number, unit in pattern.findall(text)}


@pytest.mark.parametrize("name", ESTIMATES)
@pytest.mark.parametrize("width", [40, 80, 100])
def test_printed_components_add_up_to_the_printed_total(name: str, width: int) -> None:
    estimate = ESTIMATES[name]()
    figures = printed_figures(render_plain(estimate, width, UNICODE))
    total, tolerance = figures.pop("total")
    assert set(figures) == {SWATCHES[component].label for component, size in estimate.components.items() if size}
    assert abs(sum(size for size, _ in figures.values()) - total) <= tolerance + sum(rounding for _, rounding in figures.values())
    assert abs(total - estimate.peak.device_bytes) <= tolerance


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(SWATCHES)), st.integers(0, 2**42), min_size=1), st.integers(40, 120))
@example({"reserved_unallocated": 2**30 - 1, "optimizer_states": 2**20 - 1}, 40)
@example({"reserved_unallocated": 2**30 - 1, "optimizer_states": 2**20 - 1}, 80)
def test_any_breakdown_keeps_its_width_and_shows_what_is_not_zero(components: dict[str, int], width: int) -> None:
    device = sum(components.values())
    peak = msgspec.structs.replace(fitting().peak, device_bytes=device, low_bytes=device, high_bytes=device)
    estimate = msgspec.structs.replace(fitting(), components=components, peak=peak)
    text = render_plain(estimate, width, UNICODE)
    assert all(len(line) <= width for line in text.splitlines())
    figures = printed_figures(text)
    assert set(figures) - {"total"} == {SWATCHES[name].label for name, size in components.items() if size}


def test_first_line_is_the_verdict() -> None:
    estimate = fitting()
    need, usable = estimate.peak.device_bytes, estimate.gpu.usable_bytes
    lines = [render_plain(make(), 100, UNICODE).splitlines()[0] for make in (fitting, not_fitting, without_card)]
    assert lines[0] == f"fits: {format_gib(need)} of {format_gib(usable)} ({100 * need / usable:.0f} %), headroom {format_gib(usable - need)}"
    assert lines[1].startswith("does not fit: needs 23.76 GiB of 23.52 GiB, ")
    assert lines[1].endswith(" too much")
    assert lines[2] == f"needs {format_gib(need)}"


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("name", ESTIMATES)
def test_it_is_one_screen(name: str, width: int) -> None:
    assert len(render_plain(ESTIMATES[name](), width, UNICODE).splitlines()) < SCREEN


@pytest.mark.parametrize(
    ("fits", "confidence", "verdict"),
    [
        (True, 1.0, "fits"), (True, 0.995, "fits"), (True, 0.9949, "fits with 99 % confidence"), (True, 0.97, "fits with 97 % confidence"),
        (True, 0.8, "fits with 80 % confidence"), (True, 0.7999, "too close to call"), (True, 0.1, "too close to call"), (True, None, "fits"),
        (False, 0.9, "too close to call"), (False, 0.2001, "too close to call"), (False, 0.1999, "does not fit with 80 % confidence"),
        (False, 0.03, "does not fit with 97 % confidence"), (False, 0.0051, "does not fit with 99 % confidence"), (False, 0.0049, "does not fit"),
        (False, 0.0, "does not fit"), (False, None, "does not fit"),
    ],
)  # fmt: skip
def test_the_verdict_is_as_sure_as_comparable_cases_allow(fits: bool, confidence: float | None, verdict: str) -> None:
    estimate = fitting() if fits else not_fitting()
    first = render_plain(msgspec.structs.replace(estimate, confidence=confidence), 100, UNICODE).splitlines()[0]
    assert first.partition(":")[0] == verdict


def test_the_cases_behind_the_range_are_told() -> None:
    assert "95 % range of 48 measured cases: YOLO networks, AMP training" in render_plain(not_fitting(), 100, UNICODE)


def test_a_need_that_is_free_but_in_pieces_does_not_fit() -> None:
    estimate = msgspec.structs.replace(fitting(), fits=False, confidence=0.001, out_of_memory="2.00 GiB for mm cannot be had")
    first, *rest = render_plain(estimate, 100, UNICODE).splitlines()
    assert first == "does not fit: needs 7.16 GiB of 23.52 GiB, but not in the pieces that are left"
    assert "2.00 GiB for mm cannot be had" in rest


def test_everything_that_was_asked_for_is_there() -> None:
    text = render_plain(not_fitting(), 100, UNICODE)
    for said in (
        "nvidia-smi 23.76 GiB (22.88–24.64 GiB)", "reserved 23.34 GiB", "allocated 23.20 GiB",
        "peak in 2nd step, backward, model.22.cv3.0.0.1.conv, silu_backward",
        "process    23.76 GiB  ◀ must fit", "steady step  23.76 GiB  ◀ peak", "each further target per image costs 3.20 MiB",
        "preset ultralytics set ema gpu, accumulate 2, habits checkpoint save copies", "! my_ops::fused_nms has no workspace rule (up to 128.00 MiB)",
        "640×480", "freeze model.22.dfl*", "16 frozen", "128.00 MiB for convolution in model.2.cv1",
    ):  # fmt: skip
        assert said in text


def test_ascii_output_is_ascii_only() -> None:
    for make in ESTIMATES.values():
        assert render_plain(make(), 60, ASCII).isascii()


class Stream(io.TextIOWrapper):
    """A stream of a given encoding that may call itself a terminal."""

    def __init__(self, encoding: str, is_terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


def shown(estimate: Estimate, encoding: str = "utf-8", is_terminal: bool = False) -> str:
    stream = Stream(encoding, is_terminal)
    TerminalReport().show(HandMadeForecast(estimate), stream)
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "40")


def test_colours_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[" in shown(fitting(), is_terminal=True)
    assert "\x1b[" not in shown(fitting(), is_terminal=False)
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b[" not in shown(fitting(), is_terminal=True)


def test_no_color_leaves_the_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = shown(fitting(), is_terminal=True)
    assert not re.search(r"\x1b\[[0-9;]*(3[0-9]|38;)[0-9;]*m", text)
    assert re.sub(r"\x1b\[[0-9;]*m", "", text).split() == render_plain(fitting(), 100, UNICODE).split()


def test_a_pipe_gets_unicode_if_it_can_take_it_and_ascii_otherwise() -> None:
    assert shown(fitting()) == render_plain(fitting(), 100, UNICODE)
    assert shown(fitting(), encoding="ascii") == render_plain(fitting(), 100, ASCII)
    assert shown(fitting(), encoding="latin-1") == render_plain(fitting(), 100, ASCII)


def test_foreign_letters_do_not_break_an_ascii_stream() -> None:
    estimate = msgspec.structs.replace(fitting(), caveats=(CaveatNote(message="modèle – inconnu"),))
    assert "! mod?le ? inconnu" in shown(estimate, encoding="ascii")


@pytest.mark.parametrize(("columns", "printed"), [("20", 40), ("60", 60), ("300", 100)])
def test_width_follows_the_terminal_within_limits(columns: str, printed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    card_bar = shown(fitting()).splitlines()[next(i for i, line in enumerate(shown(fitting()).splitlines()) if line.startswith("█"))]
    assert len(card_bar) == printed


def test_markup_in_names_is_printed_as_it_is() -> None:
    shares = (ModuleShare(name="[bold]block[/]", bytes=5, components={}),)
    assert "[bold]block[/]" in render_plain(msgspec.structs.replace(fitting(), modules=shares), 100, UNICODE)


def test_the_report_can_be_shown() -> None:
    assert isinstance(TerminalReport(), TextReport)


def test_hand_made_components_are_consistent() -> None:
    assert sum(COMPONENTS.values()) == fitting().peak.device_bytes
