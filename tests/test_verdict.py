"""One verdict, whoever asks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vramcast.advice.advise import advise
from vramcast.gpu.catalogue import resolve
from vramcast.pipeline import estimate
from vramcast.reports import wording
from vramcast.solvers.cards import gpus_for
from vramcast.solvers.fit import fit
from vramcast.solvers.sweep.run import sweep
from vramcast.study.compare import compare
from vramcast.verdict import CALLED_FROM, verdict_of, verdict_words
from vramcast.workload import Workload

MODEL, WORKLOAD = "torchvision:resnet18", Workload.train(batch=16, image=128, steps=1)


@pytest.mark.parametrize("gpu", ["1GiB", "1400MiB", "2GiB", "16GiB"])
def test_every_command_says_the_same(gpu: str) -> None:
    asked = estimate(MODEL, WORKLOAD, gpu)
    said = (asked.fits, asked.verdict, asked.confidence)
    card = resolve(gpu)
    (judged,) = gpus_for(MODEL, WORKLOAD, [card]).cards
    assert (judged.fits, judged.verdict, judged.confidence) == said
    (record,) = sweep(MODEL, WORKLOAD, {"batch": [16]}, gpu, processes=1)
    assert (record.fits, record.verdict, record.confidence) == said
    advice = advise(MODEL, WORKLOAD, gpu, levers=())
    assert (advice.fits, advice.verdict, advice.confidence) == said
    side = compare([MODEL, MODEL], WORKLOAD, gpu).sides[0]
    assert (side.fits, side.verdict, side.confidence) == said
    found = fit(MODEL, WORKLOAD, gpu, at_most=16)
    for shown in (found.expected, found.may, found.smallest):
        if shown is not None and shown.value == 16:
            assert (shown.fits, shown.verdict, shown.confidence) == said
    assert wording.verdict(asked).startswith(verdict_words(asked.fits, asked.confidence))


@given(st.booleans(), st.none() | st.floats(0, 1))
def test_words_begin_with_the_verdict(fits: bool, confidence: float | None) -> None:
    verdict = verdict_of(fits, confidence)
    assert verdict is not None
    assert verdict_words(fits, confidence).startswith(verdict)
    if confidence is not None:
        agreeing = confidence if fits else 1 - confidence
        assert (verdict == "too close to call") is (agreeing < CALLED_FROM)


def test_without_a_card_there_is_none() -> None:
    assert (verdict_of(None, None), verdict_words(None, None)) == (None, "-")
