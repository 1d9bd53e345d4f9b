"""Writes what a validation found as a page of the documentation, in Markdown, with its plots beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from vramcast.atomic_file import write_atomically
from vramcast.calibration.groups import LEAST_CASES
from vramcast.reports.markdown import table as _table
from vramcast.validation import plots, ranges, ranges_section
from vramcast.validation.choices import chosen_on
from vramcast.validation.estimators import PUBLISHED, Rival, rivals
from vramcast.validation.residuals import residuals
from vramcast.validation.summary import Examined, Miss, Missing, SetSummary, Validation
from vramcast.validation.targets import TargetResult
from vramcast.validation.wording import COLUMNS, bound, cells, extent, fitted, held, percent, signed, verdict

_HEAD = """# Accuracy

How far forecasts lie from what was measured on real cards: (forecast - measured) / measured.
Made by `{command}`; nothing here is written by hand but the reasons beside single cases.
{extent}
vramcast {version} with {packages}.

- *median*, *p90*, *p95* and *largest* are of the absolute errors; *bias* is the median of the signed ones, negative where forecasts are too
  low, *signed p5* and *signed p95* are their percentiles.
- *allocated* is `max_memory_allocated`, *reserved* `max_memory_reserved`, *device* what the driver shows for the process.
- Where a set's environment is not stated, one constant is fitted on half of its models (by the hash of their names), and the errors are those
  of the other half; elsewhere no constant is fitted. Where a rule of vramcast was chosen with the eye on a set, the set says so.
- No row is left out for its error. Rows that a workload cannot express are listed with the reason.
"""
_PARTIAL = "**A sample:** of sets with more than {most} cases an even spread of {most} is forecast; without `--sample` all are."
_ALL = "Every case is forecast."
_PUBLISHED = "Errors in round figures, as published: each on data of its own, not on the sets below. xMem's paper compares the first three."
_RUN_BY_OTHERS = "As the authors of GPUMemNet ran them, against the device memory of their A100 tables:"


def write(path: Path, validation: Validation, examined: Sequence[Examined], measured: str | None, command: str) -> None:
    """Write the page to `path`, and its plots into a folder beside it named after it.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OutputError: a file cannot be written.
    """
    folder = path.with_suffix("")
    folder.mkdir(exist_ok=True)
    drawn = {item.case_set.name: item for item in examined if item.verdict.judged}
    for name, item in drawn.items():
        plots.write_errors(folder / f"{name}-errors.svg", item.case_set, item.verdict.judged)
        plots.write_predicted(folder / f"{name}-predicted.svg", item.case_set, item.verdict.judged)
    others = rivals(measured, drawn) if measured else ()
    text = "\n".join(_parts(validation, examined, others, folder.name, command))
    write_atomically(path, lambda file: file.write(text.encode()))


def _parts(validation: Validation, examined: Sequence[Examined], found: Sequence[Rival], folder: str, command: str) -> Iterable[str]:
    yield _head(validation, command)
    yield _overview(validation)
    yield _targets(validation)
    yield from _ranges(examined)
    yield _others(found)
    for summary in validation.sets:
        yield _section(summary, folder)


def _head(validation: Validation, command: str) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in validation.packages.items())
    sampled = [summary.forecast for summary in validation.sets if summary.forecast < summary.expressed]
    extent_text = _PARTIAL.format(most=max(sampled)) if sampled else _ALL
    return _HEAD.format(command=command, version=validation.vramcast, packages=packages, extent=extent_text)


def _ranges(examined: Sequence[Examined]) -> Iterable[str]:
    found = residuals(examined)
    if found.kept:
        yield ranges_section.section(ranges.table(examined), ranges.coverage(examined), found.left_out, LEAST_CASES)


def _overview(validation: Validation) -> str:
    header = ("set", "metric", *COLUMNS[2:])
    found = [(_link(item.name), share.metric, *cells(share)[2:]) for item in validation.sets for share in item.metrics]
    unexpressed = [_link(item.name) for item in validation.sets if not item.metrics and item.unexpressed]
    empty = [_link(item.name) for item in validation.sets if not item.expressed and not item.unexpressed]
    text = "## Overview\n\n" + _table(header, found)
    if unexpressed:
        text += f"\nNothing of {', '.join(unexpressed)} can be expressed yet; the reasons are below.\n"
    return text + (f"\nNothing is measured yet for {', '.join(empty)}.\n" if empty else "")


def _targets(validation: Validation) -> str:
    header = ("set", "target", "bound", "found", "cases", "")
    empty = {summary.name for summary in validation.sets if not summary.expressed}
    rows = [_target_row(target, is_empty=target.case_set in empty) for target in validation.targets]
    return "## Targets\n\n" + _table(header, rows) + "\n" + _misses(validation)


def _target_row(target: TargetResult, *, is_empty: bool) -> tuple[str, ...]:
    found = "–" if target.found is None else percent(target.found, 2)
    limit = ("at least " if target.is_share else "at most ") + bound(target)
    return (_link(target.case_set), target.statement, limit, found, str(target.cases), "no case yet" if is_empty else verdict(target))


def _misses(validation: Validation) -> str:
    """Say of each set that misses a target by how much, and on which models."""
    lines = []
    for summary in validation.sets:
        missed = [target for target in validation.targets if target.case_set == summary.name and target.is_met is False]
        if missed:
            short = "; ".join(f"{target.statement}: by {abs((target.found or 0) - target.bound) * 100:.2f} percentage points" for target in missed)
            lines += [f"**{summary.name}** misses {short}. Furthest off:", "", *_furthest_off(summary), ""]
    return "\n".join(lines) if lines else "No target is missed.\n"


def _furthest_off(summary: SetSummary) -> Iterable[str]:
    """Yield a line for each model and reason among the worst cases."""
    groups: dict[tuple[str, str], list[Miss]] = {}
    for miss in summary.worst:
        groups.setdefault((miss.model, miss.reason), []).append(miss)
    for (model, why), misses in groups.items():
        yield f"- {model}, {', '.join(f'batch {miss.batch} {_shown(summary, miss)}' for miss in misses)}: {why}"


def _shown(summary: SetSummary, miss: Miss) -> str:
    """Return an error; of sets that are not open to the whole percent, so that no figure can be worked out of it."""
    return signed(miss.error) if summary.is_open else f"{miss.error * 100:+.0f} %"


def _others(found: Sequence[Rival]) -> str:
    published = _table(("estimator", "how", "error", "source"), [(item.name, item.kind, item.error, item.source) for item in PUBLISHED])
    text = f"## Other estimators\n\n{_PUBLISHED}\n\n{published}"
    if not found:
        return text
    header = ("estimator", "set", "cases", "median", "bias", "middle half of the errors")
    return f"{text}\n{_RUN_BY_OTHERS}\n\n{_table(header, map(_rival_row, found))}"


def _rival_row(rival: Rival) -> tuple[str, ...]:
    middle = " to ".join(map(signed, rival.quartiles))
    return (rival.estimator, _link(rival.case_set), str(rival.cases), percent(rival.median), signed(rival.bias), middle)


def _section(summary: SetSummary, folder: str) -> str:
    lines = [f"## {summary.name}", "", f"Source: {summary.citation}.", "", f"{_opening(extent(summary))}.", ""]
    if summary.constant_bytes is not None:
        lines += [fitted(summary), ""]
    if choice := chosen_on(summary.name):
        lines += [choice, ""]
    lines += [line for law in summary.laws for line in (f"{_opening(held(law))}.", "")]
    if summary.metrics:
        lines.append(_table(COLUMNS, [cells(share) for share in (*summary.metrics, *summary.families)]))
        lines += [f"![errors]({folder}/{summary.name}-errors.svg) ![predicted]({folder}/{summary.name}-predicted.svg)", ""]
        lines += ["Furthest off:", "", _table(("error", "model", "batch", "metric", "why"), _worst(summary))]
    for title, groups in (("No forecast", summary.failures), ("Not expressed", summary.unexpressed)):
        lines += _missing(title, groups)
    return "\n".join(lines)


def _opening(text: str) -> str:
    """Return a text as a sentence begins."""
    return text[:1].upper() + text[1:]


def _worst(summary: SetSummary) -> list[tuple[str, ...]]:
    return [(_shown(summary, miss), miss.model, str(miss.batch), miss.metric, miss.reason) for miss in summary.worst]


def _missing(title: str, groups: Sequence[Missing]) -> list[str]:
    if not groups:
        return []
    lines = [f"{title}:", ""]
    for group in groups:
        lines.append(f"- {group.reason} ({len(group.ids)}): <details><summary>rows</summary>{', '.join(group.ids)}</details>")
    return [*lines, ""]


def _link(name: str) -> str:
    return f"[{name}](#{name})"
