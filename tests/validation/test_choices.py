"""What was chosen on a set is said with its errors."""

from __future__ import annotations

from vramcast.validation import choices
from vramcast.validation.registry import SETS


def test_choices_name_sets_that_exist() -> None:
    assert set(choices._CHOICES) <= set(SETS)


def test_both_halves_of_a_set_share_what_was_chosen_on_it() -> None:
    assert choices.chosen_on("llm-inference-a100-device") == choices.chosen_on("llm-inference-a100") != ""
    assert choices.chosen_on("cuda-context") == ""
