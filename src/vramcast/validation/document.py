"""Writes what a validation found as a page of the documentation."""

from __future__ import annotations

from collections.abc import Sequence

from vramcast.units import format_gib
from vramcast.validation.accuracy import Accuracy, errors, judge, judged_half
from vramcast.validation.case import CaseSet, Unexpressed
from vramcast.validation.outcome import Outcome

HEAD = """# Accuracy

How far forecasts lie from what was measured on real cards: (forecast - measured) / measured. Made by `{command}`.
"""

_WORST = 10


def section(case_set: CaseSet, outcomes: Sequence[Outcome], unexpressed: Sequence[Unexpressed], asked: int) -> str:
    """Return the part of the page about one set, in Markdown; `asked` is how many cases the set expresses in all."""
    accuracy = judge(outcomes, is_fitted=bool(case_set.environment))
    lines = [
        f"## {case_set.name}",
        "",
        f"Source: {case_set.citation}.",
        "",
        f"{len(outcomes)} of {asked} cases forecast; {len(unexpressed)} rows not expressed: {_reasons(unexpressed)}.",
    ]
    if case_set.environment:
        lines += ["", f"Fitted: {case_set.environment}: {format_gib(accuracy.constant_bytes)}. The errors are those of the other half."]
    lines += ["", "| cases | no forecast | median | p90 | p95 | bias |", "|---|---|---|---|---|---|", _row(accuracy), ""]
    lines += [_worst(case_set, outcomes, accuracy), ""]
    return "\n".join(lines)


def _row(accuracy: Accuracy) -> str:
    shares = (accuracy.median, accuracy.p90, accuracy.p95)
    return f"| {accuracy.cases} | {accuracy.failures} | " + " | ".join(f"{share:.1%}" for share in shares) + f" | {accuracy.bias:+.1%} |"


def _reasons(unexpressed: Sequence[Unexpressed]) -> str:
    counts: dict[str, int] = {}
    for row in unexpressed:
        reason = row.reason.partition(":")[0] if row.reason.startswith("another trainer") else row.reason.partition(" '")[0]
        counts[reason] = counts.get(reason, 0) + 1
    return "; ".join(f"{reason} ({count})" for reason, count in counts.items()) or "none"


def _worst(case_set: CaseSet, outcomes: Sequence[Outcome], accuracy: Accuracy) -> str:
    """Return the models that are furthest off; no measured figure is repeated."""
    judged = judged_half(outcomes, is_fitted=bool(case_set.environment))
    signed = sorted(zip(errors(judged, accuracy.constant_bytes), judged), key=lambda pair: -abs(pair[0]))[:_WORST]
    failed = [outcome for outcome in outcomes if outcome.error][:_WORST]
    parts = [f"{outcome.case.model} batch {outcome.case.workload.batch} ({error:+.0%})" for error, outcome in signed]
    text = f"Furthest off: {', '.join(parts)}."
    if failed:
        text += f" No forecast, among others: {'; '.join(f'{outcome.case.model}: {outcome.error}' for outcome in failed)}."
    return text
