"""The card that an option names, and how a shell completes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from vramcast.gpu.spec import GpuSpec


def complete_gpu(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """List the cards whose names begin so."""
    from vramcast.gpu.catalogue import load
    from vramcast.gpu.naming import key, short_name

    names = [short_name(card.name) for card in load()]
    return [CompletionItem(name) for name in names if key(name).startswith(key(incomplete))]


def card_named(name: str | None) -> GpuSpec | None:
    """Return the card of this name; None where none was given.

    Raises:
        UsageError: no such card, or several.
    """
    if name is None:
        return None
    from vramcast.gpu.catalogue import resolve

    return resolve(name)
