"""`vramcast estimate`: will it fit, and what fills the card."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from vramcast.cli.cards import card_named, complete_gpu
from vramcast.cli.data_options import data_from, data_options
from vramcast.cli.heap import give_back_large_blocks
from vramcast.cli.options import workload_from, workload_options
from vramcast.cli.output import reader_may_leave
from vramcast.cli.progress import stages
from vramcast.cli.sections import SectionedCommand, SectionedOption
from vramcast.errors import UsageError
from vramcast.reports import registry
from vramcast.reports.files import check_writable
from vramcast.reports.interface import Forecast, Report, TextReport

_STDOUT = Path("-")

EXAMPLES = """\b
Examples:
  vramcast estimate torchvision:resnet50 --train --batch 64 --gpu "rtx 4090"
  vramcast estimate timm:vit_base_patch16_224 --train --precision amp-bf16 --batch 128 --gpu a100-80gb
  vramcast estimate yolov8n --train --preset ultralytics --batch 16 --image 640 --gpu 16GiB
  vramcast estimate yolo11n --train --preset ultralytics --data coco128/data.yaml --gpu "rtx 4090"
  vramcast estimate transformers:./my-model --infer --seq 512 --new-tokens 256 --batch 4 --precision bf16 --gpu l4
  vramcast estimate model.py:build --input x=8x3x512x512 --format json -o estimate.json
  vramcast estimate torchvision:resnet50 --train --workload run.toml --format snapshot -o memory.pickle

\b
Exit codes:
  0 it fits, or no card was named    2 wrong usage
  1 it does not fit                  3 no forecast came about"""


@click.command("estimate", cls=SectionedCommand, epilog=EXAMPLES)
@click.argument("model")
@click.option("--gpu", cls=SectionedOption, section="Card and answer", metavar="CARD", shell_complete=complete_gpu,
              help="A card (`vramcast gpus` lists them), a size such as 24GiB, or auto for the one in this machine.")  # fmt: skip
@click.option("--format", "report_name", cls=SectionedOption, section="Card and answer", type=click.Choice(registry.names()),
              help="terminal (the default), json, or snapshot for pytorch.org/memory_viz.")  # fmt: skip
@click.option("-o", "--output", cls=SectionedOption, section="Card and answer", type=click.Path(path_type=Path), metavar="PATH",
              help="Write to a file, whole or not at all; its ending chooses the format where --format does not.")  # fmt: skip
@data_options
@workload_options
def estimate(model: str, gpu: str | None, report_name: str | None, output: Path | None, **options: Any) -> bool | None:
    """Forecast the GPU memory that MODEL needs, without a GPU.

    MODEL is a name (`vramcast models` lists them), a file such as model.py:build, or package.module:build.
    """
    path = None if output in (None, _STDOUT) else output
    report = _report(report_name, path)
    workload, card = workload_from(options), card_named(gpu)
    from vramcast.pipeline import estimate as forecast_memory

    give_back_large_blocks()
    with stages() as progress:
        forecast = forecast_memory(model, workload, card, data=data_from(options, progress), progress=progress)
    _deliver(forecast, report, path)
    return forecast.estimate.fits


def _report(name: str | None, path: Path | None) -> Report:
    """Choose the report and check that it can go where it should, before the forecast is made."""
    name = name or (registry.name_for(path) if path else None) or "terminal"
    report = registry.load(name)
    if path is not None:
        check_writable(path)
    elif not isinstance(report, TextReport):
        raise UsageError(f"--format {name} is a binary file and cannot be printed. Name a file: -o memory.pickle")
    return report


def _deliver(forecast: Forecast, report: Report, path: Path | None) -> None:
    if path is not None:
        report.save(forecast, path)
    elif isinstance(report, TextReport):
        with reader_may_leave():
            report.show(forecast, sys.stdout)
