"""`vramcast rules`: what weights and training keep per parameter, by closed-form rules."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import click

from vramcast.cli.output import print_json, print_table
from vramcast.rules import RECIPES, Term, TrainingRow, WeightsRow, training_table, weights_table
from vramcast.units import format_bytes, format_count, parse_count
from vramcast.workload import OPTIMIZERS, PRECISIONS

EXAMPLES = """\b
Examples:
  vramcast rules --params 100M
  vramcast rules --params 7B --optimizer adamw --precision bf16
  vramcast rules --params 1.3B --optimizer adamw8bit --ema --format json"""
_WEIGHTS = ("precision", "bytes each", "decimal", "binary")
_TRAINING = ("precision", "recipe", "bytes each", "decimal", "binary", "of which")
_NUMBERS = ("bytes each", "decimal", "binary")


@click.command("rules", epilog=EXAMPLES)
@click.option("--params", default="1B", show_default=True, metavar="COUNT", help="Number of parameters: 100M, 1.3B.")
@click.option(
    "--optimizer", type=click.Choice(OPTIMIZERS), default="adamw", show_default=True, metavar="NAME", help=f"One of {', '.join(OPTIMIZERS)}."
)
@click.option("--precision", type=click.Choice(PRECISIONS), help="Only this precision.")
@click.option("--ema", is_flag=True, help="With an averaged fp32 copy of the weights.")
@click.option("--format", "form", type=click.Choice(["terminal", "json"]), default="terminal", show_default=True, help="Tables, or JSON.")
def rules(params: str, optimizer: str, precision: str | None, ema: bool, form: str) -> None:
    """Print what weights and training take per parameter.

    Parameters alone: activations, workspaces, rounding and the CUDA context come on top; `vramcast estimate` forecasts them.
    """
    parameters = parse_count(params)
    weights = [row for row in weights_table(parameters) if precision is None or row.precision == precision.removeprefix("amp-")]
    training = [row for row in training_table(parameters, optimizer, ema=ema) if precision in (None, row.precision)]
    if form == "json":
        print_json(
            {"parameters": parameters, "weights": [_weights_json(row) for row in weights], "training": [_training_json(row) for row in training]}
        )
        return
    click.echo(f"Weights of {format_count(parameters)} parameters\n")
    print_table(_WEIGHTS, map(_weights_row, weights), numbers=_NUMBERS)
    click.echo(f"\nTraining with {optimizer}{' and EMA' if ema else ''}\n")
    print_table(_TRAINING, map(_training_row, training), numbers=_NUMBERS)
    click.echo()
    for note in _notes(training):
        click.echo(click.wrap_text(note, width=100, subsequent_indent="  "))


def _weights_row(row: WeightsRow) -> tuple[str, ...]:
    return row.precision, _number(row.bytes_per_parameter), _format_decimal(row.bytes), format_bytes(row.bytes)


def _training_row(row: TrainingRow) -> tuple[str, ...]:
    size = _number(row.bytes_per_parameter)
    return row.precision, row.recipe, size, _format_decimal(row.bytes), format_bytes(row.bytes), _terms(row.terms)


def _terms(terms: Iterable[Term]) -> str:
    """Name each term and its bytes, the optimizer's states as one: `weights 4 + gradients 4 + optimizer states 8`."""
    parts: dict[str, Fraction] = {}
    for term in terms:
        label = "optimizer states" if term.component == "optimizer_states" else term.name
        parts[label] = parts.get(label, Fraction(0)) + term.bytes_per_parameter
    return " + ".join(f"{label} {_number(size)}" for label, size in parts.items())


def _notes(rows: Iterable[TrainingRow]) -> list[str]:
    """Return what the recipes of these rows mean, and what their terms say of themselves."""
    rows = list(rows)
    recipes = [f"{name}: {RECIPES[name]}" for name in dict.fromkeys(row.recipe for row in rows)]
    passing = [f"{term.name}: during the forward pass only" for row in rows for term in row.terms if term.forward_only]
    return (
        recipes + list(dict.fromkeys(passing)) + list(dict.fromkeys(f"{term.name}: {term.note}" for row in rows for term in row.terms if term.note))
    )


def _number(size: Fraction) -> str:
    return f"{float(size):.8g}"


def _format_decimal(size: int) -> str:
    """Print bytes in powers of ten, as memory is advertised: `1.60 GB`."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.2f} {unit}"
    return f"{size} B"


def _weights_json(row: WeightsRow) -> dict[str, object]:
    return {"precision": row.precision, "bytes_per_parameter": float(row.bytes_per_parameter), "bytes": row.bytes}


def _training_json(row: TrainingRow) -> dict[str, object]:
    return {
        "optimizer": row.optimizer,
        "precision": row.precision,
        "recipe": row.recipe,
        "bytes_per_parameter": float(row.bytes_per_parameter),
        "held_per_parameter": float(row.held_per_parameter),
        "bytes": row.bytes,
        "held_bytes": row.held_bytes,
        "terms": [
            {"name": term.name, "component": term.component, "dtype": term.dtype, "bytes_per_parameter": float(term.bytes_per_parameter),
             "forward_only": term.forward_only, "note": term.note}
            for term in row.terms
        ],
    }  # fmt: skip
