"""The context model against the processes it was fitted on, each chip left out in turn, and against others."""

from __future__ import annotations

import pytest

from vramcast.gpu import catalogue
from vramcast.gpu.context import Process, context_bytes, fit, processes, resident_threads
from vramcast.gpu.spec import GpuSpec
from vramcast.units import MIB

ALL = processes()


def _card(**fields: object) -> GpuSpec:
    return GpuSpec(**({"name": "a card", "vendor": "nvidia", "memory_bytes": 1, "usable_bytes": 1} | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize("process", ALL, ids=lambda process: process.card)
def test_measured_process_lies_in_the_range_of_its_card(process: Process) -> None:
    answer = context_bytes(catalogue.find(process.card))
    assert answer.is_measured
    assert answer.low <= process.outside_bytes <= answer.high


@pytest.mark.parametrize("process", ALL, ids=lambda process: process.card)
def test_line_predicts_a_chip_it_has_not_seen(process: Process) -> None:
    line = fit(other for other in ALL if other.chip != process.chip)
    threads = resident_threads(*process.chip)
    assert threads is not None
    assert 0.75 < process.outside_bytes / line.at(threads) < 1.25


@pytest.mark.parametrize("process", ALL, ids=lambda process: process.card)
def test_process_agrees_with_the_catalogue(process: Process) -> None:
    card = catalogue.find(process.card)
    assert (card.compute_capability, card.sm_count) == process.chip
    assert process.process_gib <= card.usable_bytes / 2**30 + 0.02


@pytest.mark.parametrize(
    ("card", "mib"),
    [("rtx 3090", 256), ("rtx 6000 ada generation", 426)],
    ids=["invoke-ai/InvokeAI#9413, torch 2.7.1+cu128", "unslothai/unsloth-zoo#1053, torch 2.10.0+cu130"],
)
def test_bare_contexts_that_were_not_fitted_are_not_above_the_range(card: str, mib: int) -> None:
    answer = context_bytes(catalogue.find(card))
    assert answer.low <= mib * MIB <= answer.high


def test_ranges_widen_with_what_is_not_known() -> None:
    def width(name: str) -> float:
        answer = context_bytes(catalogue.find(name))
        assert answer.low < answer.typical < answer.high
        return answer.high / answer.low

    assert width("t4") < width("rtx 3090") < width("v100 16gb") < width("mi300x")


def test_nothing_known_spans_every_process() -> None:
    unknown = context_bytes(None)
    assert not unknown.is_measured
    assert unknown.low < min(process.outside_bytes for process in ALL)
    assert unknown.high > max(process.outside_bytes for process in ALL)
    assert context_bytes(catalogue.resolve("24GiB")) == unknown
    assert context_bytes(_card(compute_capability=(99, 0), sm_count=8)) == unknown


def test_more_multiprocessors_need_more() -> None:
    sizes = [context_bytes(_card(compute_capability=(8, 6), sm_count=count)).typical for count in (10, 20, 40, 80)]
    assert sizes == sorted(set(sizes))


def test_every_card_has_an_answer() -> None:
    for card in catalogue.load():
        answer = context_bytes(card)
        assert 0 < answer.low < answer.typical < answer.high < 2**30
        assert answer.source
