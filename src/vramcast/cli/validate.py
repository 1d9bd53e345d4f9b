"""`vramcast validate`: forecasts held against measured figures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vramcast.cli.output import print_json, reader_may_leave
from vramcast.cli.progress import counted
from vramcast.errors import EXIT_BROKEN_LAW, EXIT_WORSENED

if TYPE_CHECKING:
    from vramcast.validation.case import CaseSet
    from vramcast.validation.results import Results
    from vramcast.validation.summary import Examined

EXAMPLES = """\b
Examples:
  vramcast validate yolo-autobatch
  vramcast validate timm-a100 --measured measured/ --sample 200
  vramcast validate --measured measured/ --document docs/accuracy.md
  vramcast validate --sample 40 --baseline validation/baseline.json
  vramcast validate --measured measured/ --calibrate src/vramcast/calibration/residuals.json
  vramcast validate --measured measured/ --fit-workspaces src/vramcast/workspace/cudnn.toml

\b
Exit codes:
  0 held    1 worse than --baseline, or recorded runs whose replay does not give what they reserved    2 wrong usage"""


@click.command("validate", epilog=EXAMPLES)
@click.argument("sets", nargs=-1, metavar="[SET]...")
@click.option("--measured", type=click.Path(file_okay=False), help="Folder of the figures whose licence keeps them out of vramcast.")
@click.option("--sample", type=click.IntRange(1), help="Forecast at most this many cases of a set, evenly spread.")
@click.option("--processes", type=click.IntRange(1), default=os.cpu_count() or 1, show_default="all cores", help="Processes to forecast in.")
@click.option("--results", "results_path", type=click.Path(dir_okay=False), show_default="in the user's cache",
              help="File that keeps outcomes as they come: what is there and still valid is not forecast again.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(("text", "json")), default="text", show_default=True, help="How to print what was found.")
@click.option("--document", type=click.Path(dir_okay=False), help="Write it as a page with plots, too.")
@click.option("--baseline", "baseline_path", type=click.Path(dir_okay=False), help="Exit with 1 when errors are larger than in this file.")
@click.option("--write-baseline", type=click.Path(dir_okay=False), help="Make this file from the errors found.")
@click.option("--calibrate", type=click.Path(dir_okay=False), help="Write the table that ranges come from (calibration/residuals.json), fitted anew.")
@click.option("--fit-workspaces", "fitted", type=click.Path(dir_okay=False),
              help="Fit the parameters of cuDNN's workspaces in this file (a cudnn.toml) on half of the models, and nothing else.")  # fmt: skip
@click.option("--traces", type=click.Path(file_okay=False), show_default="in the user's cache", help="Folder where that fit keeps its traces.")
def validate(
    sets: tuple[str, ...], measured: str | None, sample: int | None, processes: int, results_path: str | None, form: str,
    document: str | None, baseline_path: str | None, write_baseline: str | None, calibrate: str | None, fitted: str | None, traces: str | None,
) -> None:  # fmt: skip
    """Hold forecasts against figures measured on real cards, and say how far off they are.

    Sets are named, or all are taken; those that may not be shipped with vramcast are read from the folder --measured, and passed over
    without it. An interrupted validation goes on where it stopped.
    """
    if fitted:
        _fit(Path(fitted), measured, Path(traces) if traces else None, processes)
        return
    from vramcast.reports.files import check_writable
    from vramcast.validation import baseline, page, ranges, refusals, registry, wording
    from vramcast.validation.results import Results, default_path
    from vramcast.validation.summary import summarize

    for path in filter(None, (document, write_baseline, calibrate)):
        check_writable(Path(path))
    held_against = baseline.read(Path(baseline_path)) if baseline_path else None
    chosen = [registry.find(name) for name in sets] or _readable(list(registry.SETS.values()), measured)
    with Results(Path(results_path) if results_path else default_path()) as results:
        examined = [_examine(case_set, measured, sample, processes, results) for case_set in chosen]
    validation = summarize(examined)
    with reader_may_leave():
        print_json(validation) if form == "json" else click.echo(wording.text(validation))
    if calibrate:
        ranges.write(Path(calibrate), examined)
    if document:
        page.write(Path(document), validation, examined, measured, _command(sets, sample))
    if write_baseline:
        baseline.write(Path(write_baseline), validation, sample)
    # Of the runs that would be refused, a target says how many may be.
    broken = [law for summary in validation.sets for law in summary.laws if law.broken and law.statement != refusals.STATEMENT]
    for law in broken:
        click.echo(f"broken law: {wording.held(law)}", err=True)
    if held_against is not None:
        _hold(baseline.worsened(held_against, validation))
    if broken:
        click.get_current_context().exit(EXIT_BROKEN_LAW)


def _readable(sets: Sequence[CaseSet], measured: str | None) -> list[CaseSet]:
    """Return the sets whose figures are at hand, and name the others."""
    chosen = [case_set for case_set in sets if case_set.is_open or measured is not None]
    passed_over = [case_set.name for case_set in sets if case_set not in chosen]
    if passed_over:
        click.echo(f"passed over, as their figures are read from --measured: {', '.join(passed_over)}", err=True)
    return chosen


def _examine(case_set: CaseSet, measured: str | None, sample: int | None, processes: int, results: Results) -> Examined:
    from vramcast.validation.completeness import incomplete
    from vramcast.validation.outcome import sample as sampled
    from vramcast.validation.run import forecast_all
    from vramcast.validation.summary import Examined

    cases, unexpressed = case_set.read(measured)
    chosen = sampled(cases, sample or len(cases))
    with counted(case_set.name) as progress:
        outcomes = forecast_all(case_set, chosen, results, processes, progress)
    return Examined(
        case_set=case_set, expressed=len(cases), outcomes=tuple(outcomes), unexpressed=tuple(unexpressed), laws=case_set.laws(measured),
        incomplete=incomplete(cases),
    )  # fmt: skip


def _fit(path: Path, measured: str | None, traces: Path | None, processes: int) -> None:
    from vramcast.reports.files import check_writable
    from vramcast.validation.workspace_fit import parameter_file, wording
    from vramcast.validation.workspace_fit.fit import fit
    from vramcast.validation.workspace_fit.kept_traces import default_folder
    from vramcast.validation.workspace_fit.knobs import KNOBS

    check_writable(path)
    found = fit(parameter_file.read(path), measured, traces or default_folder(), processes, counted)
    parameter_file.write(path, found.after, KNOBS, found.residuals_after)
    with reader_may_leave():
        click.echo(wording.text(found))


def _command(sets: Sequence[str], sample: int | None) -> str:
    """Return what anybody can type to get the same page."""
    return " ".join(["vramcast validate", *sets, "--measured DIR", *([f"--sample {sample}"] if sample else [])])


def _hold(complaints: Sequence[str]) -> None:
    if not complaints:
        click.echo("no set is further off than the baseline allows", err=True)
        return
    for complaint in complaints:
        click.echo(f"worse than the baseline: {complaint}", err=True)
    click.get_current_context().exit(EXIT_WORSENED)
