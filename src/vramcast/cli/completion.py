"""`vramcast completion`: the script that teaches a shell to complete the command line."""

from __future__ import annotations

import click
from click.shell_completion import shell_complete

COMPLETE_VARIABLE = "_VRAMCAST_COMPLETE"
"""Environment variable by which the script asks for completions (click's convention)."""
EXAMPLES = """\b
Examples:
  eval "$(vramcast completion bash)"                                   # in ~/.bashrc
  eval "$(vramcast completion zsh)"                                    # in ~/.zshrc
  vramcast completion fish > ~/.config/fish/completions/vramcast.fish"""


@click.command("completion", epilog=EXAMPLES)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL."""
    shell_complete(ctx.find_root().command, {}, "vramcast", COMPLETE_VARIABLE, f"{shell}_source")
