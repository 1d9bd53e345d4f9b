"""The options that name a data set, shared by the commands that forecast its worst batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vramcast.cli.sections import SectionedOption
from vramcast.errors import UsageError
from vramcast.reports import wording

if TYPE_CHECKING:
    from vramcast.data import DataSet
    from vramcast.footprint import DataSummary

Command = TypeVar("Command", bound=Callable[..., Any])
NAMES = ("data", "mosaic", "mixup")
_SECTION = "Data set"
_OPTIONS = (
    click.option("--data", cls=SectionedOption, section=_SECTION, type=click.Path(path_type=Path), metavar="DATASET",
                 help="Forecast the worst batch of a data set: a YOLO data.yaml or its folder, a COCO JSON, a folder of images, or a .txt, .csv "
                 "or .parquet file of sequence lengths. Sets --targets, --image or --seq where they are not given."),
    click.option("--mosaic", cls=SectionedOption, section=_SECTION, type=click.FloatRange(0, 1), metavar="CHANCE",
                 help="How often a training image is a mosaic of four (default: the preset's; 1 in ultralytics, else 0)."),
    click.option("--mixup", cls=SectionedOption, section=_SECTION, type=click.FloatRange(0, 1), metavar="CHANCE",
                 help="How often a training image is two laid over each other (default: 0)."),
)  # fmt: skip


def data_options(command: Command) -> Command:
    """Give a command the options of a data set; what was given arrives as keyword arguments, to be read by `data_from`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def data_from(options: Mapping[str, Any], progress: Callable[[str], None] | None) -> DataSet | None:
    """Read the data set that the options name; None where they name none.

    Raises:
        UsageError: a chance was given without a data set, or the data set cannot be read.
    """
    chances = {name: options[name] for name in ("mosaic", "mixup")}
    if options["data"] is None:
        given = next((name for name, chance in chances.items() if chance is not None), None)
        if given is not None:
            raise UsageError(f"--{given} says how the images of a data set are mixed. Name one: --data DATASET")
        return None
    from vramcast.data import read_data

    return read_data(options["data"], **chances, progress=progress)


def print_data(summary: DataSummary | None, err: bool = False) -> None:
    """Print, to standard error where that is asked for, what a data set says, a sentence a line; nothing where none was named."""
    for sentence in wording.data(summary) if summary else ():
        click.echo(f"= {sentence}", err=err)
