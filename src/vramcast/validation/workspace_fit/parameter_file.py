"""`cudnn.toml` with other values and residuals; its comments, which say what each value means, stay."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from vramcast.atomic_file import write_atomically
from vramcast.errors import InvalidFileError
from vramcast.validation.workspace_fit.knobs import Knob
from vramcast.workspace.cudnn_parameters import ConvolutionParameters, Residual

_MARK = "# What the fit leaves over:"
_EXPLAINED = (
    f"{_MARK} absolute relative errors by set and precision, on the half of the models that was fitted on, and on the other.\n"
    "# Written by `vramcast validate --fit-workspaces`.\n"
)


def read(path: Path) -> ConvolutionParameters:
    """Return the parameters of a file. Raises `InvalidFileError`: there is none, or it is no such file."""
    return _decoded(path, _text(path))


def write(path: Path, parameters: ConvolutionParameters, knobs: Sequence[Knob], residuals: Sequence[Residual]) -> None:
    """Put the knobs' values and the residuals into the file. Raises `InvalidFileError` as `read`, `OutputError`: it cannot be written."""
    text = _text(path).partition(_MARK)[0].rstrip() + "\n"
    for knob in knobs:
        text = _with_value(path, text, knob, knob.value_in(parameters))
    text += "\n" + _EXPLAINED + "".join(map(_table, residuals))
    _decoded(path, text)
    write_atomically(path, lambda file: file.write(text.encode()))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidFileError(f"parameters {path} cannot be read: {error}. Name src/vramcast/workspace/cudnn.toml or a copy of it.") from None


def _decoded(path: Path, text: str) -> ConvolutionParameters:
    try:
        return msgspec.toml.decode(text, type=ConvolutionParameters)
    except msgspec.DecodeError as error:
        raise InvalidFileError(f"parameters {path} are not those of the convolution rule: {error}.") from None


def _with_value(path: Path, text: str, knob: Knob, value: float) -> str:
    line = re.compile(rf"(^\[{knob.section}\]$(?:\n(?!\[).*)*?\n{knob.name} = )(\S+)", re.MULTILINE)
    changed, count = line.subn(lambda match: match[1] + (f"{value:g}" if "." not in match[2] else f"{float(value)}"), text)
    if count != 1:
        raise InvalidFileError(f"parameters {path} have no line `{knob.name} = …` in [{knob.section}].")
    return changed


def _table(residual: Residual) -> str:
    fields = msgspec.structs.asdict(residual) | {"median": round(residual.median, 4), "p90": round(residual.p90, 4)}
    return "\n[[residuals]]\n" + "".join(f"{name} = {msgspec.json.encode(value).decode()}\n" for name, value in fields.items())
