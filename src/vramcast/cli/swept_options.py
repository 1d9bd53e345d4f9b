"""The options of a workload, each of which takes ranges and lists in place of one value."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from vramcast.cli.options import workload_options
from vramcast.errors import WorkloadError
from vramcast.solvers.sweep.axes import Values, parse_values

Command = TypeVar("Command", bound=Callable[..., Any])
_SINGLE = frozenset({"workload_file", "loss", "allocator"})
"""Texts in which commas and colons mean something else."""


class Several(tuple[Any, ...]):
    """The values that an option was given, one or more."""


class _SeveralOf(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.5 on
    """Reads ranges and lists of what another type reads."""

    def __init__(self, kind: Any, callback: Callable[..., Any] | None) -> None:
        self.name = kind.name
        self._kind = kind
        self._callback = callback

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return every value that a range or list names; click reports what it refuses."""
        if isinstance(value, Several):
            return value

        def one(text: str) -> Any:
            plain = self._kind.convert(text, param, ctx)
            return plain if self._callback is None else self._callback(ctx, param, plain)

        try:
            return Several(parse_values(str(value), one))
        except WorkloadError as error:
            self.fail(str(error), param, ctx)


def swept_options(command: Command) -> Command:
    """Give a command every workload option; what was given arrives as `Several` values, but for switches and texts."""

    def plain() -> None:
        """Carries the options over."""

    options: list[click.Option] = workload_options(plain).__click_params__  # type: ignore[attr-defined]
    parameters = getattr(command, "__click_params__", [])
    command.__click_params__ = [*parameters, *map(_swept, options)]  # type: ignore[attr-defined]
    return command


def _swept(option: click.Option) -> click.Option:
    if option.is_flag or option.multiple or option.nargs != 1 or option.name in _SINGLE:
        return option
    made = copy.copy(option)
    made.type, made.callback = _SeveralOf(option.type, option.callback), None
    return made


def split(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Values]]:
    """Return the options with single values, and the axes: those that were given more than one."""
    axes = {name: tuple(value) for name, value in options.items() if isinstance(value, Several) and len(value) > 1}
    single = {name: value[0] if isinstance(value, Several) else value for name, value in options.items()}
    return single, axes
