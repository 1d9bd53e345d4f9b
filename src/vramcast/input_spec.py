"""One input of a model by name, as the command line and the TOML file write it."""

from __future__ import annotations

import re

import msgspec

from vramcast.errors import WorkloadError


class InputSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input by name: `name=2x3x224x224:float32`. The first dimension is the batch as written."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"

    @classmethod
    def parse(cls, text: str) -> InputSpec:
        """Read `name=2x3x224x224:float32` (`:dtype` may be left out).

        Raises:
            WorkloadError: the text has another form.
        """
        match = re.fullmatch(r"([A-Za-z_]\w*)=(\d+(?:x\d+)*)(?::(\w+))?", text.strip())
        if match is None:
            raise WorkloadError(f"--input {text!r} is not of the form name=2x3x224x224:float32.")
        return cls(match[1], tuple(int(side) for side in match[2].split("x")), match[3] or "float32")
