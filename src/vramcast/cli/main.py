"""The entry of the command line, and the one place where exit codes are made."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import click
from click.exceptions import Exit
from click.shell_completion import shell_complete

from vramcast.cli.advise import advise
from vramcast.cli.backends import backends
from vramcast.cli.compare import compare
from vramcast.cli.completion import COMPLETE_VARIABLE, completion
from vramcast.cli.diff import diff
from vramcast.cli.estimate import estimate
from vramcast.cli.fit import fit
from vramcast.cli.gpus import gpus
from vramcast.cli.measure import measure
from vramcast.cli.models import models
from vramcast.cli.output import reader_may_leave
from vramcast.cli.rules import rules
from vramcast.cli.sensitivity import sensitivity
from vramcast.cli.study import study
from vramcast.cli.sweep import sweep
from vramcast.cli.timeline import timeline
from vramcast.cli.validate import validate
from vramcast.errors import EXIT_DOES_NOT_FIT, EXIT_FITS, EXIT_INTERRUPTED, EXIT_NO_FORECAST, EXIT_USAGE, VramcastError, closest_names
from vramcast.version import __version__

_NAME = "vramcast"


class _Commands(click.Group):
    """Names the closest command when there is none of the name given."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            closest = ", ".join(closest_names(args[0], self.commands))
            ctx.fail(f"No such command {args[0]!r}. Closest: {closest}. To forecast a model: {_NAME} estimate {args[0]}")
        return super().resolve_command(ctx, args)


@click.group(_NAME, cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name=_NAME, message="%(prog)s %(version)s")
def commands() -> None:
    """Forecast the GPU memory of a deep-learning workload, on a machine without a GPU.

    \b
      vramcast estimate torchvision:resnet50 --train --batch 64 --precision amp-bf16 --gpu "rtx 4090"
    """


for command in (
    estimate,
    fit,
    advise,
    sensitivity,
    compare,
    study,
    backends,
    sweep,
    timeline,
    models,
    gpus,
    rules,
    measure,
    diff,
    validate,
    completion,
):
    commands.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (by default the process's own) and return its exit code, as `vramcast.errors` lists them."""
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments))
    except VramcastError as error:
        click.echo(f"{_NAME}: error: {error}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"\n{_NAME}: interrupted", err=True)
        return EXIT_INTERRUPTED
    except Exception:
        # Python's own exit code would be 1, which here means "does not fit".
        traceback.print_exc()
        click.echo(f"{_NAME}: this is an error in {_NAME} itself; please report it with the lines above.", err=True)
        return EXIT_NO_FORECAST


def _run(arguments: list[str]) -> int:
    if COMPLETE_VARIABLE in os.environ:
        return shell_complete(commands, {}, _NAME, COMPLETE_VARIABLE, os.environ[COMPLETE_VARIABLE])
    fits: bool | None = None
    with reader_may_leave():
        try:
            with commands.make_context(_NAME, arguments) as context:
                fits = commands.invoke(context)
        except Exit as stop:
            return stop.exit_code
    return EXIT_DOES_NOT_FIT if fits is False else EXIT_FITS
