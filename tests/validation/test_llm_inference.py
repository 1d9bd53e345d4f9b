"""Measured language models: which rows are taken, and figures of an A100 beside their forecast."""

from __future__ import annotations

from collections import Counter

import pytest

from vramcast.pipeline import estimate
from vramcast.validation.case import Case
from vramcast.validation.llm_inference import LanguageModelDevice, LanguageModelInference

ROWS = 581


def _cases() -> dict[str, Case]:
    return {case.id: case for case in LanguageModelInference().read(None)[0]}


def test_every_row_is_a_case_or_has_a_reason() -> None:
    memory, device = LanguageModelInference().read(None), LanguageModelDevice().read(None)
    ids = [case.id for cases, _ in (memory, device) for case in cases] + [row.id for _, rows in (memory, device) for row in rows]
    assert len(ids) == len(set(ids)) == ROWS
    assert Counter(case.metric for case in memory[0]) == {"allocated": 81, "reserved": 72}
    assert {case.metric for case in device[0]} == {"device"}
    assert all(row.reason for _, rows in (memory, device) for row in rows)


def test_calls_before_the_one_watched_are_run_too() -> None:
    cases = _cases()
    assert cases["OPTB-0269"].workload.steps == 1, "the first call is watched"
    assert cases["OPTB-0560"].workload.steps == 2, "the outputs of the call before are still held"
    assert cases["OPTB-0325"].workload.attention == "sdpa"
    assert (cases["OPTB-0273"].workload.seq, cases["OPTB-0273"].workload.new_tokens) == (256, 512)


@pytest.mark.parametrize(
    ("allocated", "reserved", "within"),
    [
        pytest.param("OPTB-0438", "OPTB-0439", 0.001, id="GPTQ on ExLlama's second kernels, one pass over 2 prompts"),
        pytest.param("OPTB-0493", "OPTB-0494", 0.001, id="GPTQ on the first ones"),
        pytest.param("OPTB-0293", "OPTB-0294", 0.01, id="one pass over 64 prompts of 256 tokens"),
        pytest.param("OPTB-0305", "OPTB-0306", 0.001, id="512 tokens for each of 8 prompts, which leave 63 GB reserved"),
    ],
)
def test_llama_on_an_a100(allocated: str, reserved: str, within: float) -> None:
    cases = _cases()
    peak = estimate(cases[allocated].model, cases[allocated].workload, cases[allocated].gpu).peak
    assert cases[allocated].workload == cases[reserved].workload
    assert peak.allocated_bytes == pytest.approx(cases[allocated].measured_bytes, abs=2 * 10**6)
    assert peak.reserved_bytes == pytest.approx(cases[reserved].measured_bytes, rel=within)
