"""Measured kernels beside the rules: what agrees is exact, what does not is named."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from recorded_meters import CARD, SOFTWARE

from vramcast.cli.main import main
from vramcast.errors import InvalidFileError
from vramcast.measuring.micro import convolutions, others, process
from vramcast.measuring.micro.compare_kernels import agreements, read_measured
from vramcast.measuring.micro.forecast_kernels import forecast_kernels
from vramcast.measuring.micro.kernel import Kernel
from vramcast.measuring.micro.table import Row, append_rows, begin_table
from vramcast.workspace.cublas import SMALL_WORKSPACE
from vramcast.workspace.stack import Stack

STACK = Stack(device_memory=CARD.usable_bytes)


def some_convolutions() -> list[Kernel]:
    return [kernel for kernel in convolutions.kernels() if kernel.shape in ("n8 c64 k64 i56 r3 s1 g1 d1", "n16 c3 k64 i224 r7 s2 g1 d1")]


def written(rows: list[Row], path: Path) -> Path:
    begin_table(path, msgspec.json.encode({"card": CARD, "software": SOFTWARE}))
    append_rows(path, rows)
    return path


def test_every_product_of_a_fresh_handle_brings_the_workspace() -> None:
    """8,519,680 bytes: found after one `nn.Linear` on a card (pytorch issue 95668)."""
    rows = list(forecast_kernels(itertools.islice(others.gemm(), 12), STACK))
    assert [row.extra_bytes for row in rows] == [SMALL_WORKSPACE] * 12


def test_outputs_are_as_large_as_their_shapes_say() -> None:
    by_key = {(row.shape, row.dtype, row.direction): row for row in forecast_kernels(some_convolutions(), STACK)}
    stem = "n16 c3 k64 i224 r7 s2 g1 d1"
    assert by_key[stem, "fp16", "forward"].output_bytes == 16 * 64 * 112 * 112 * 2
    assert by_key[stem, "fp32", "input_gradient"].output_bytes == 16 * 3 * 224 * 224 * 4
    assert by_key[stem, "bf16", "weight_gradient"].output_bytes == 64 * 3 * 7 * 7 * 2


def test_what_is_as_forecast_is_exact_and_what_is_not_is_named(tmp_path: Path) -> None:
    rows = list(forecast_kernels(some_convolutions(), STACK))
    other = rows.index(next(row for row in rows if row.dtype == "fp32" and row.direction == "forward" and row.layout == "contiguous"))
    changed = [*rows[:other], replace(rows[other], extra_bytes=rows[other].extra_bytes + 1000), *rows[other + 1 :]]
    failed = replace(rows[0], shape="n1 c1 k1 i1 r1 s1 g1 d1", error="out of memory")
    measured, stack = read_measured(written([*changed, failed], tmp_path / "kernels.csv"))
    assert stack == STACK
    found = list(agreements(forecast_kernels(some_convolutions(), stack), measured))
    assert sum(part.kernels for part in found) == len(rows)
    assert sum(part.exact for part in found) == len(rows) - 1
    off = next(part for part in found if part.exact < part.kernels)
    assert (off.dtype, off.direction, off.worst, off.worst_error) == ("fp32", "forward", rows[other].shape, -1000)
    assert off.measured_bytes - off.forecast_bytes == 1000


def test_the_command_holds_a_table_against_the_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(process, "kinds", lambda: {"convolution": lambda: iter(some_convolutions())})
    path = written(list(forecast_kernels(some_convolutions(), STACK)), tmp_path / "kernels.csv")
    assert main(["diff", str(path)]) == 0
    page = capsys.readouterr().out.splitlines()
    assert page[0].split()[:4] == ["kind", "type", "layout", "pass"]
    assert len(page) == 1 + 4 * 2 * 3
    assert main(["diff", str(path), "--format", "json"]) == 0
    assert all(part["exact"] == part["kernels"] for part in json.loads(capsys.readouterr().out))


@pytest.mark.parametrize("text", ["", "a,b\n", "# {}\na,b\n", "# {not json\n"])
def test_other_tables_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text(text)
    with pytest.raises(InvalidFileError, match="is no table of kernels"):
        read_measured(tmp_path / "odd.csv")
    assert main(["diff", str(tmp_path / "absent.csv")]) == 2
