"""`vramcast measure`: the same program on the card in this machine."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vramcast.cli.options import fields_from, workload_from, workload_options
from vramcast.cli.progress import counted, stages
from vramcast.cli.sections import SectionedCommand, SectionedOption
from vramcast.errors import ForecastError, UsageError, WorkloadError
from vramcast.units import format_bytes

if TYPE_CHECKING:
    from vramcast.measurement import Measurement
    from vramcast.measuring.meters import Stacks

EXAMPLES = """\b
Examples:
  vramcast measure torchvision:resnet50 --train --batch 32 -o resnet50.json
  vramcast measure model.py:build --input x=8x3x512x512 --precision bf16
  vramcast measure --campaign smoke
  vramcast measure --campaign standard --results measured/ --budget 8m

\b
Exit codes:
  0 it ran, or the campaign ended    2 wrong usage, or no card
  1 it ran out of memory             3 it failed"""

_UNITS = {"s": 1, "m": 60, "h": 3600}


def _seconds(_ctx: click.Context, _param: click.Parameter, text: str | None) -> float | None:
    """Read `90s`, `8m` or `1h30m`."""
    if text is None:
        return None
    parts = re.findall(r"(\d+)([smh])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise click.BadParameter(f"{text!r} is not a time such as 90s, 8m or 1h30m.")
    return float(sum(int(number) * _UNITS[unit] for number, unit in parts))


@click.command("measure", cls=SectionedCommand, epilog=EXAMPLES)
@click.argument("model", required=False)
@click.option("-o", "--output", cls=SectionedOption, section="Result", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.json",
              help="The measurement's file (by default named after the case, in this folder).")  # fmt: skip
@click.option("--cpp-stacks", is_flag=True, cls=SectionedOption, section="Result",
              help="Record C++ stacks too: names the operators of backward; slow to read, and a larger file.")  # fmt: skip
@click.option("--campaign", cls=SectionedOption, section="Campaign", metavar="NAME|FILE.toml",
              help="Measure a list of cases, each in a process of its own: standard, smoke, or a file.")  # fmt: skip
@click.option("--results", cls=SectionedOption, section="Campaign", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Where results go and are looked for (by default measured-NAME); what is there is not measured again.")  # fmt: skip
@click.option("--budget", cls=SectionedOption, section="Campaign", callback=_seconds, metavar="TIME",
              help="Stop after 90s, 8m or 1h30m; the next call goes on.")  # fmt: skip
@click.option(
    "--list", "only_list", is_flag=True, cls=SectionedOption, section="Campaign", help="Name the cases and what is there of them; measure nothing."
)
@workload_options
def measure(
    model: str | None, output: Path | None, cpp_stacks: bool, campaign: str | None, results: Path | None, budget: float | None, only_list: bool,
    **options: Any,
) -> bool | None:  # fmt: skip
    """Run MODEL's program on the card in this machine, and write down what it took.

    It takes the options of `vramcast estimate` and runs the very program that a forecast traces. `vramcast diff` holds the two beside each other.
    """
    if (model is None) == (campaign is None):
        raise UsageError("name a model to measure, or --campaign; one of them. Example: vramcast measure torchvision:resnet18 --train")
    if campaign is not None:
        _refuse_with_campaign(output, cpp_stacks, options)
        _measure_campaign(campaign, results or Path(f"measured-{Path(campaign).stem}"), budget, only_list)
        return None
    if results is not None or budget is not None or only_list:
        raise UsageError("--results, --budget and --list belong to --campaign.")
    assert model is not None
    return _measure_one(model, output, "all" if cpp_stacks else "python", options)


def _measure_one(model: str, output: Path | None, stacks: Stacks, options: dict[str, Any]) -> bool:
    workload = workload_from(options)
    from vramcast.measurement_file import load_measurement
    from vramcast.measuring.campaign import run_campaign
    from vramcast.measuring.campaign_file import Case, case_id
    from vramcast.measuring.card_present import require_card
    from vramcast.measuring.jobs import case_job
    from vramcast.measuring.torch_present import require_torch
    from vramcast.reports.files import check_writable
    from vramcast.sources.registry import find

    require_card()
    require_torch(workload, options["torch"])
    found = find(model)
    name = case_id(f"{found.source}:{found.name}", workload)
    path = output or Path(f"{name}.json")
    check_writable(path)
    with tempfile.TemporaryDirectory(prefix="vramcast-", dir=path.resolve().parent) as folder, stages() as progress:
        if progress:
            progress(f"measuring {found.name}")
        job = case_job(Case(id=name, model=model, workload=workload), Path(folder).resolve() / "measured.json", stacks)
        lines: list[str] = []
        run_campaign([job], lambda line, _done, _total: lines.append(line))
        if not job.output.is_file():
            raise ForecastError(f"nothing was measured. {lines[-1] if lines else ''}")
        measured = load_measurement(job.output)
        job.output.replace(path)
    _print(measured, path)
    if measured.outcome == "failed":
        raise ForecastError(f"the program failed: {measured.message}")
    return measured.outcome == "ok"


def _measure_campaign(name: str, results: Path, budget: float | None, only_list: bool) -> None:
    from vramcast.measuring.campaign import run_campaign, tally
    from vramcast.measuring.campaign_file import read_campaign
    from vramcast.measuring.card_present import require_card
    from vramcast.measuring.jobs import jobs_of

    jobs = jobs_of(read_campaign(name), results.resolve())
    if only_list:
        for job in jobs:
            click.echo(f"{'done' if job.is_done else 'open'}  {job.id}")
    else:
        require_card()
        results.mkdir(parents=True, exist_ok=True)
        with counted(name) as progress:
            run_campaign(jobs, lambda line, done, total: _told(line, progress, done, total), budget)
    counts = tally(jobs)
    click.echo(f"{results}: {', '.join(f'{count} {outcome}' for outcome, count in counts.outcomes.items()) or 'nothing yet'}, {counts.left} left")


def _told(line: str, progress: Callable[[int, int], None], done: int, total: int) -> None:
    click.echo(f"{done}/{total}  {line}", err=True)
    progress(done, total)


def _refuse_with_campaign(output: Path | None, cpp_stacks: bool, options: dict[str, Any]) -> None:
    own = (("output", output), ("cpp-stacks", cpp_stacks or None))
    given = [*fields_from(options), *(name for name, value in own if value is not None)]
    if given or options["workload_file"]:
        raise WorkloadError(f"--campaign and {', '.join(given) or '--workload'} exclude each other: its file says what is run.")


def _print(measured: Measurement, path: Path) -> None:
    process = measured.process_bytes(measured.peak)
    figures = (
        ("allocated", measured.max_memory_allocated_bytes), ("reserved", measured.max_memory_reserved_bytes), ("process", process),
    )  # fmt: skip
    click.echo(f"{measured.model} on {measured.card.name}: {measured.outcome.replace('_', ' ')}")
    click.echo(" · ".join(f"{name} {'unknown' if size is None else format_bytes(size)}" for name, size in figures))
    if measured.message:
        click.echo(measured.message.splitlines()[0])
    for note in measured.notes:
        click.echo(f"! {note}")
    click.echo(f"written to {path}; compare with: vramcast diff {path}")
