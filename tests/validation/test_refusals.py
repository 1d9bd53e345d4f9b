"""Runs that ran and are said surely not to fit."""

from __future__ import annotations

from hand_made_outcomes import HandMade, failed, outcome

from vramcast.calibration.groups import cell_of
from vramcast.calibration.kinds import kind_of_name
from vramcast.calibration.table import comparable
from vramcast.gpu.catalogue import resolve
from vramcast.gpu.context import context_bytes
from vramcast.validation import refusals
from vramcast.validation.summary import Examined, summarize

CARD = resolve("A100 40GB")
SPREAD = comparable(cell_of(kind_of_name("timm:model1"), "train", "fp32")).distribution.spread
LIMIT = int((CARD.usable_bytes - context_bytes(CARD, loads_eagerly=False).low) * SPREAD)
"""Reserved bytes whose lower end is all that the card has: (usable - context) x spread."""


def test_a_run_is_refused_from_where_the_lower_end_exceeds_the_card() -> None:
    assert not refusals.is_refused(outcome(1, LIMIT - 2**20, 1))
    assert refusals.is_refused(outcome(1, LIMIT + 2**20, 1))


def test_what_has_no_forecast_or_no_card_is_not_tried() -> None:
    assert refusals.law([failed(1), outcome(2, 0, 1)]) == ()
    law = refusals.law([failed(1), outcome(2, 2**30, 1), outcome(3, 2 * LIMIT, 1)])[0]
    assert (law.of, law.broken) == (2, ("003",))


def test_the_summary_names_the_refused() -> None:
    examined = Examined(case_set=HandMade(), expressed=2, outcomes=(outcome(2, 2**30, 1), outcome(3, 2 * LIMIT, 1)), unexpressed=())
    law = summarize([examined]).sets[0].laws[0]
    assert (law.statement, law.of, law.broken) == (refusals.STATEMENT, 2, ("003",))
