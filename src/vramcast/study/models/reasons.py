"""Why a model lies far off the line, read off what it holds when most is allocated. In words, with figures."""

from __future__ import annotations

from vramcast.study.models.findings import share, train_over_infer
from vramcast.study.models.measures import INFERENCE, states_bytes
from vramcast.study.models.row import ModeFigures, Row
from vramcast.units import format_count

_MUCH = 0.25
"""Shares of what is allocated that are worth saying."""
_OF_OPERATORS = (
    (("cat",), "concatenations"),
    (("bmm", "_softmax", "baddbmm"), "attention scores"),
)
"""Operators (ATen names) whose results tell of an architecture."""
_SOME = 0.1


def why(row: Row, measure: str) -> str:
    """Return the module that holds most, and what else is much of what is allocated."""
    figures = row.infer if measure == INFERENCE else row.train
    if figures is None or not figures.allocated_bytes:
        return ""
    parts = [*_module(figures), *_states(figures), *_operators(figures)]
    if measure != INFERENCE:
        parts += _blocks(row)
    return ", ".join([f"{_sides(row)}{format_count(row.parameters)} parameters", *parts])


def _sides(row: Row) -> str:
    if row.image is None:
        return ""
    return f"{row.image[0]} px, " if row.image[0] == row.image[1] else f"{row.image[0]}x{row.image[1]} px, "


def _module(figures: ModeFigures) -> list[str]:
    return [f"{holder.name} holds {_percent(holder.bytes / figures.allocated_bytes)}" for holder in figures.modules[:1]]


def _states(figures: ModeFigures) -> list[str]:
    part = states_bytes(figures) / figures.allocated_bytes
    return [f"{_percent(part)} is weights and what has their size"] if part >= _MUCH else []


def _operators(figures: ModeFigures) -> list[str]:
    found = []
    for names, words in _OF_OPERATORS:
        held = sum(holder.bytes for holder in figures.operators if holder.name.rpartition(":")[2] in names)
        if held >= _SOME * figures.allocated_bytes:
            found.append(f"{words} {_percent(held / figures.allocated_bytes)}")
    return found


def _blocks(row: Row) -> list[str]:
    early, depthwise = share(row, "early_bytes"), share(row, "depthwise_bytes")
    found = [f"{_percent(early)} on feature maps of a quarter of the image's sides or more"] if early >= _MUCH else []
    if depthwise >= _MUCH:
        found.append(f"{_percent(depthwise)} in blocks with depthwise convolutions")
    return found or [f"{train_over_infer(row):.1f} times inference"]


def _percent(part: float) -> str:
    return f"{100 * part:.0f} %"
