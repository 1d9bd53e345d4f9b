"""`vramcast validate`: forecasts held against measured figures."""

from __future__ import annotations

import os
from pathlib import Path

import click

from vramcast.cli.progress import counted

EXAMPLES = """\b
Examples:
  vramcast validate timm-a100 --measured measured/ --sample 200
  vramcast validate --measured measured/ --output docs/accuracy.md"""


@click.command("validate", epilog=EXAMPLES)
@click.argument("sets", nargs=-1, metavar="[SET]...")
@click.option("--measured", required=True, type=click.Path(file_okay=False), help="Folder of the measured figures.")
@click.option("--sample", type=click.IntRange(1), help="Forecast at most this many cases of a set, evenly spread.")
@click.option("--processes", type=click.IntRange(1), default=os.cpu_count() or 1, show_default="all cores", help="Processes to forecast in.")
@click.option("--output", "-o", type=click.Path(dir_okay=False), help="Write the page there rather than to standard output.")
def validate(sets: tuple[str, ...], measured: str, sample: int | None, processes: int, output: str | None) -> None:
    """Hold forecasts against figures measured on real cards, and say how far off they are.

    Every set named is read from its file in the folder, all of them when none is.
    """
    from vramcast.reports.files import check_writable
    from vramcast.validation import document, outcome, registry

    if output:
        check_writable(Path(output))
    chosen = [registry.find(name) for name in sets or registry.SETS]
    command = " ".join(["vramcast validate", *sets, "--measured DIR", *([f"--sample {sample}"] if sample else [])])
    parts = [document.HEAD.format(command=command)]
    for case_set in chosen:
        cases, unexpressed = case_set.read(measured)
        with counted(case_set.name) as progress:
            outcomes = outcome.forecast_all(outcome.sample(cases, sample or len(cases)), processes, progress)
        parts.append(document.section(case_set, outcomes, unexpressed, len(cases)))
    text = "\n".join(parts)
    if output:
        Path(output).write_text(text, encoding="utf-8")
    else:
        click.echo(text)
