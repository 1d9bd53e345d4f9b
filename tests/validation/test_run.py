"""Validations that are interrupted, whose processes die, and whose outcomes grow stale."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import msgspec
import pytest
from hand_made_outcomes import failed, outcome

from vramcast import worker_pool
from vramcast.errors import OutputError
from vramcast.validation import registry, run
from vramcast.validation.case import Case
from vramcast.validation.fingerprint import fingerprint
from vramcast.validation.outcome import Outcome, forecast_case
from vramcast.validation.results import Results

CONTEXT = registry.find("cuda-context")
Work = Callable[[Case], Outcome]


def _silent(done: int, total: int) -> None: ...


def test_what_was_forecast_is_not_forecast_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = CONTEXT.read(None)[0][2:]  # three on different cards; those on no named card run the same
    calls: list[tuple[int, int]] = []
    with Results(tmp_path / "sub" / "results.jsonl") as results:
        first = run.forecast_all(CONTEXT, cases[:2], results, 1, lambda done, total: calls.append((done, total)))
    assert calls == [(0, 2), (1, 2), (2, 2)]
    asked: list[str] = []

    def here(work: Work, cases: list[Case], processes: int, killed: Work) -> Iterator[tuple[Case, Outcome]]:
        asked.extend(case.id for case in cases)
        return ((case, work(case)) for case in cases)

    monkeypatch.setattr(run, "in_processes", here)
    with Results(tmp_path / "sub" / "results.jsonl") as results:
        second = run.forecast_all(CONTEXT, cases[:3], results, 1, _silent)
    assert asked == [cases[2].id]
    assert second[:2] == first


def test_cases_that_run_the_same_are_forecast_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [case for case in CONTEXT.read(None)[0] if not case.gpu]
    assert len(cases) > 1
    asked: list[str] = []

    def here(work: Work, cases: list[Case], processes: int, killed: Work) -> Iterator[tuple[Case, Outcome]]:
        asked.extend(case.id for case in cases)
        return ((case, work(case)) for case in cases)

    monkeypatch.setattr(run, "in_processes", here)
    with Results(tmp_path / "results.jsonl") as results:
        outcomes = run.forecast_all(CONTEXT, cases, results, 1, _silent)
    assert asked == [cases[0].id]
    assert [item.case for item in outcomes] == cases
    assert len({item.figures for item in outcomes}) == 1


def test_a_corrected_figure_is_judged_without_a_new_forecast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CONTEXT.read(None)[0][0]
    corrected = msgspec.structs.replace(case, measured_bytes=case.measured_bytes + 1)
    with Results(tmp_path / "results.jsonl") as results:
        results.keep(fingerprint(CONTEXT, case), forecast_case(CONTEXT, case))
        monkeypatch.setattr(run, "in_processes", lambda work, cases, processes, killed: iter(()))
        assert [item.case for item in run.forecast_all(CONTEXT, [corrected], results, 1, _silent)] == [corrected]


def test_a_line_cut_off_by_a_crash_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with Results(path) as results:
        results.keep("whole", outcome(1, 10, 10))
    path.write_bytes(path.read_bytes() + b'{"fingerprint":"half","outco')
    with Results(path) as results:
        results.keep("after", failed(2))
    with Results(path) as results:
        assert results.find("whole") == outcome(1, 10, 10)
        assert results.find("half") is None
        assert results.find("after") == failed(2)


def test_results_that_cannot_be_kept_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="--results"), Results(tmp_path):
        pass


def test_another_case_and_other_code_have_other_fingerprints(monkeypatch: pytest.MonkeyPatch) -> None:
    case = CONTEXT.read(None)[0][0]
    before = fingerprint(CONTEXT, case)
    assert fingerprint(CONTEXT, case) == before
    assert fingerprint(CONTEXT, msgspec.structs.replace(case, gpu="T4")) != before
    assert fingerprint(registry.find("timm-a100"), case) != before  # forecasts otherwise
    monkeypatch.setattr("vramcast.provenance._code_digest", lambda _left_out: "other")
    assert fingerprint(CONTEXT, case) != before


def test_the_case_that_kills_its_process_takes_no_other_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cases = CONTEXT.read(None)[0][2:]  # which all run something else
    deadly = cases[1].id

    def dying(work: Work, cases: dict[int, Case], processes: int) -> Iterator[tuple[int, Outcome]]:
        for index, case in cases.items():
            if case.id == deadly:
                raise BrokenProcessPool
            yield index, work(case)

    monkeypatch.setattr(worker_pool, "_pool", dying)
    with Results(tmp_path / "results.jsonl") as results:
        outcomes = run.forecast_all(CONTEXT, cases, results, 2, _silent)
    assert [item.case.id for item in outcomes if item.figures is None] == [deadly]
    assert "killed" in next(item.error for item in outcomes if item.figures is None)


def test_a_defect_is_an_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    case = CONTEXT.read(None)[0][0]
    monkeypatch.setattr("vramcast.validation.cuda_context.context_bytes", lambda card: 1 // 0)
    assert "ZeroDivisionError" in forecast_case(CONTEXT, case).error


def test_autobatch_is_traced_as_it_runs() -> None:
    """Measured: 5.352e9 bytes reserved (AUTOB-0033), a forward pass whose graph outlives it; half of it would be left without that."""
    case_set = registry.find("yolo-autobatch")
    case = next(case for case in case_set.read(None)[0] if case.id == "AUTOB-0033")
    assert case_set.forecast(case).reserved_bytes == pytest.approx(case.measured_bytes, rel=0.05)
