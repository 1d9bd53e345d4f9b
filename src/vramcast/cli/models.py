"""`vramcast models`: the models it can build."""

from __future__ import annotations

import click

from vramcast.errors import UnknownNameError

EXAMPLES = """\b
Examples:
  vramcast models
  vramcast models resnet
  vramcast models "timm:vit_*" """.rstrip()


@click.command("models", epilog=EXAMPLES)
@click.argument("pattern", default="")
def models(pattern: str) -> None:
    """List the models it can build, or those matching PATTERN.

    Files of your own need no listing: path/to/file.py:build, a folder with a config.json, model.onnx, model.gguf.
    """
    from vramcast.sources.registry import listing

    found = listing(pattern or None)
    for absent in found.missing:
        click.echo(f"not listed: {absent}", err=True)
    if not found.names:
        raise UnknownNameError("model", pattern, listing().names)
    for name in found.names:
        click.echo(name)
