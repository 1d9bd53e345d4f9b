"""Writes a study as a page of the documentation, in Markdown, with its plots beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from vramcast.atomic_file import write_atomically
from vramcast.reports.markdown import table
from vramcast.study.models import plots
from vramcast.study.models.findings import PRINCIPAL, GroupFindings, Outlier, PartFindings, Study
from vramcast.study.models.fits import Fit
from vramcast.study.models.measures import INFERENCE, TRAINING, WEIGHTS
from vramcast.study.models.reasons import why
from vramcast.study.models.row import Row
from vramcast.study.models.statement import statement
from vramcast.study.models.yolo import sensitivities
from vramcast.units import MIB, format_gib

_HEAD = """# Parameters and memory

Is the memory of a network told by its number of parameters? {whole} networks, each forecast in inference and in training.
Made by `{command}`; nothing here is written by hand.
vramcast {version} with {packages}.

Workload: {workload}. Figures are bytes of torch's allocator (`max_memory_allocated`), without CUDA context and cache.
Batches are {batches}.

- *R²* is that of the least-squares line through bytes and parameters; *rank* is Spearman's rank correlation; *elasticity* is the slope of the line
  through the logarithms, and *R² of logs* its R²: with an elasticity of 0.5, four times the parameters take twice the memory.
- "Above" and "below the line" are of the line through the logarithms of a group, and *factor* is a network's bytes over those on it.
- Components are counted when most is allocated: gradients that are not made yet at that instant are not in them.
"""
_FITS = ("figure", "bytes per parameter", "and a constant of MiB", "R²", "rank", "elasticity", "R² of logs")
_PARTS = ("", "networks", "factor", "R²", "R² of logs", "elasticity", "elasticity in inference", "early", "depthwise")
_EARLY = """*early* is the share of what is allocated that belongs to modules on feature maps of at least a quarter of the image's sides,
*depthwise* that of blocks with depthwise convolutions; both are medians, in training, and what has the size of parameters is not in them.
"""
_FEWEST_OF_A_FAMILY = 5
_MOST_SERIES = 40


def write(path: Path, study: Study, command: str) -> None:
    """Write the page to `path`, and its plots into a folder beside it named after it.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OutputError: a file cannot be written.
    """
    folder = path.with_suffix("")
    folder.mkdir(exist_ok=True)
    for measure in (WEIGHTS, INFERENCE, TRAINING):
        plots.draw_measure(study, measure, folder / f"{measure}.svg")
    for group in study.groups:
        if families := _of(study.families, group, _FEWEST_OF_A_FAMILY):
            plots.draw_families(families, folder / f"families-{_slug(group)}.svg")
    text = "\n".join(_sections(study, folder.name, command))
    write_atomically(path, lambda file: file.write(text.encode()))


def _sections(study: Study, folder: str, command: str) -> Iterable[str]:
    yield _head(study, command)
    yield "## What was found\n"
    yield from (f"{sentence}\n" for sentence in statement(study))
    yield " ".join(f"![{measure}]({folder}/{measure}.svg)" for measure in (WEIGHTS, INFERENCE, TRAINING)) + "\n"
    rows = {row.model: row for row in study.rows}
    for group in study.groups:
        yield from _group(study, group, rows, folder)
    yield _yolo(study)
    yield _missing(study)


def _head(study: Study, command: str) -> str:
    batches: dict[int, set[str]] = {}
    for row in study.rows:
        if row.train is not None:
            batches.setdefault(row.train.batch, set()).add(row.task)
    said = "; ".join(f"{batch} ({', '.join(sorted(tasks))})" for batch, tasks in sorted(batches.items(), reverse=True))
    given = ", ".join(f"{name} {value}" for name, value in study.workload.items()) or "fp32 and AdamW, each network at its own image size"
    return _HEAD.format(
        whole=sum(row.is_whole for row in study.rows), command=command, version=study.vramcast, workload=given, batches=said,
        packages=", ".join(f"{name} {version}" for name, version in study.packages.items()),
    )  # fmt: skip


def _group(study: Study, group: GroupFindings, rows: dict[str, Row], folder: str) -> Iterable[str]:
    yield f"## {group.name[:1].upper()}{group.name[1:]}: {group.models} networks\n"
    yield table(_FITS, [_fit_row(measure, fit) for measure, fit in group.fits.items()])
    families, series = _of(study.families, group, _FEWEST_OF_A_FAMILY), _of(study.series, group, 0)
    if families:
        yield f"### Families\n\n{table(_PARTS, map(_part_row, sorted(families, key=lambda part: -part.factor)))}"
        yield f"{_EARLY}\n![families]({folder}/families-{_slug(group)}.svg)\n"
    if series:
        shown = sorted(sorted(series, key=lambda part: -part.models)[:_MOST_SERIES], key=lambda part: part.name)
        yield f"### Sizes of one network\n\n{_more(series, shown)}{table(_PARTS, map(_part_row, shown))}"
    for measure in PRINCIPAL:
        for title, sides in (("above", group.above), ("below", group.below)):
            if outliers := sides.get(measure):
                yield f"### Furthest {title} the line in {measure}\n\n{_outliers(outliers, rows, measure)}"


def _more(series: Sequence[PartFindings], shown: Sequence[PartFindings]) -> str:
    return "" if len(series) == len(shown) else f"The {len(shown)} with most networks of {len(series)} series.\n\n"


def _of(parts: Iterable[PartFindings], group: GroupFindings, fewest: int) -> list[PartFindings]:
    return [part for part in parts if part.group == group.name and part.models >= fewest]


def _slug(group: GroupFindings) -> str:
    return group.name.lower().replace(" ", "-")


def _fit_row(measure: str, fit: Fit) -> tuple[str, ...]:
    logs = f"{fit.elasticity:.2f}", f"{fit.log_r_squared:.2f}"
    return measure, f"{fit.slope:.2f}", f"{fit.intercept_bytes / MIB:.0f}", f"{fit.r_squared:.4f}", f"{fit.spearman:.2f}", *logs


def _part_row(part: PartFindings) -> tuple[str, ...]:
    def of(measure: str, number: Callable[[Fit], float]) -> str:
        return f"{number(part.fits[measure]):.2f}" if measure in part.fits else "–"

    fits = (
        of(TRAINING, lambda fit: fit.r_squared), of(TRAINING, lambda fit: fit.log_r_squared), of(TRAINING, lambda fit: fit.elasticity),
        of(INFERENCE, lambda fit: fit.elasticity),
    )  # fmt: skip
    return f"`{part.name}`", str(part.models), f"{part.factor:.2f}", *fits, f"{part.early_share:.0%}", f"{part.depthwise_share:.0%}"


def _outliers(outliers: Sequence[Outlier], rows: dict[str, Row], measure: str) -> str:
    return table(("factor", "network", "GiB", "what it holds"), [_outlier_row(one, rows[one.model], measure) for one in outliers])


def _outlier_row(one: Outlier, row: Row, measure: str) -> tuple[str, ...]:
    figures = row.infer if measure == INFERENCE else row.train
    return f"{one.factor:.2f}", one.model, "" if figures is None else format_gib(figures.allocated_bytes), why(row, measure)


def _yolo(study: Study) -> str:
    """Say whether image size > batch > model size holds of YOLO networks."""
    found = sensitivities(study.rows, study.workload, study.gpu)
    if not found:
        return ""
    text = "## What a YOLO network answers to\n\nMore device memory when a side of the image, the batch, or the model (to the next size) grows:\n\n"
    lines = [
        (one.model.name, str(one.workload["mode"]), answer.varied, f"{answer.before} → {answer.after}", format_gib(answer.added_bytes),
         f"{answer.elasticity:.2f}", answer.why)
        for one in found for answer in one.responses if answer.error is None
    ]  # fmt: skip
    statements = "\n".join(f"- {one.model.name}, {one.workload['mode']}: {one.statement}." for one in found if one.statement)
    return f"{text}{table(('network', '', 'varied', 'from → to', 'more', 'elasticity', 'because of'), lines)}\n{statements}\n"


def _missing(study: Study) -> str:
    failed = [row for row in study.rows if not row.is_whole]
    if not failed:
        return ""
    return "## Not forecast\n\n" + "".join(f"- {row.model}: {' '.join((row.error or '').split())}\n" for row in failed)
