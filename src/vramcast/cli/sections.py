"""Commands with many options: a help text in titled groups, and a refusal of flags that exclude each other."""

from __future__ import annotations

import itertools
from typing import Any

import click


class SectionedOption(click.Option):
    """An option that belongs to a titled group of the help text."""

    def __init__(self, *args: Any, section: str = "Options", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class SectionedCommand(click.Command):
    """A command whose help lists its options group by group, in the order in which the groups first appear."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; refuse two different options that set the same field (`--train --infer`), of which click would take the last."""
        if not ctx.resilient_parsing:
            _, _, given = self.make_parser(ctx).parse_args(args=list(args))
            for first, second in itertools.combinations(dict.fromkeys(given), 2):
                if first.name == second.name:
                    raise click.UsageError(f"{first.opts[0]} and {second.opts[0]} exclude each other. Leave one of them out.", ctx)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one definition list per group; `--help` comes last."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                groups.setdefault(getattr(parameter, "section", "Help"), []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)
