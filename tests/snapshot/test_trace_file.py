"""Trace files: what is saved is what is loaded, and nothing else is."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic_traces import assert_equal, traces

from vramcast import column_archive
from vramcast.errors import InvalidFileError, OutputError
from vramcast.trace import Trace
from vramcast.trace_file import load_trace, save_trace

SAME_FOLDER = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SAME_FOLDER
@given(trace=traces(largest=2**45))
def test_what_is_saved_is_loaded(trace: Trace, tmp_path: Path) -> None:
    save_trace(trace, tmp_path / "run.npz")
    assert_equal(trace, load_trace(tmp_path / "run.npz"))


def test_the_same_trace_makes_the_same_bytes(two_steps: Trace, tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_trace(two_steps, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_columns_take_the_smallest_type(two_steps: Trace, tmp_path: Path) -> None:
    save_trace(two_steps, tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz", allow_pickle=False) as arrays:
        assert {name: str(arrays[name].dtype) for name in ("kinds", "sizes")} == {"kinds": "uint8", "sizes": "uint32"}
        header = json.loads(arrays["header"].tobytes())
    assert (header["format"], header["version"], header["subject"]["name"]) == ("vramcast/trace", 1, "toy")


def test_an_existing_file_survives_a_failure(two_steps: Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.npz"
    path.write_bytes(b"old")

    def fail(file: Any, **arrays: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OutputError, match="No space left on device"):
        save_trace(two_steps, path)
    assert {item.name: item.read_bytes() for item in tmp_path.iterdir()} == {"run.npz": b"old"}


def test_a_link_s_target_is_replaced(two_steps: Trace, tmp_path: Path) -> None:
    target, link = tmp_path / "target.npz", tmp_path / "link.npz"
    target.write_bytes(b"old")
    link.symlink_to(target)
    save_trace(two_steps, link)
    assert link.is_symlink()
    assert_equal(two_steps, load_trace(target))


def rewritten(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    """Change the header or the columns of a file, and write it anew."""
    with np.load(path) as arrays:
        columns = {name: arrays[name] for name in arrays.files}
    header = json.loads(columns.pop("header").tobytes())
    change(header, columns)
    np.savez_compressed(path.open("wb"), header=np.frombuffer(json.dumps(header).encode(), np.uint8), **columns)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda header, columns: header.update(version=2, format="vramcast/trace", operators=7), "of version 2; this vramcast .* reads up to 1"),
        (lambda header, columns: header.update(format="something"), "its format is 'something'"),
        (lambda header, columns: header.pop("phases"), "phases"),
        (lambda header, columns: header.update(operators=[]), "an index points nowhere"),
        (lambda header, columns: header.update(calls={"99": {"operator": "mm", "inputs": []}}), "its calls point to what does not exist"),
        (lambda header, columns: columns.pop("sizes"), "it holds .*; a trace holds"),
        (lambda header, columns: columns.update(extra=columns["sizes"]), "extra.npy"),
        (lambda header, columns: columns.update(sizes=columns["sizes"][:2]), "differ in length"),
        (lambda header, columns: columns.update(sizes=columns["sizes"] * 0), "a block has no bytes"),
        (lambda header, columns: columns.update(sizes=columns["sizes"].astype(float)), "holds float64"),
        (lambda header, columns: columns.update(sizes=columns["sizes"].astype("u8")), "holds uint64"),
        (lambda header, columns: columns.update(sizes=columns["sizes"].reshape(2, 2)), "expected one dimension"),
        (lambda header, columns: columns.update(sizes=np.array([{}, {}, {}, {}], object)), "holds object"),
        (lambda header, columns: columns.update(blocks=columns["blocks"].astype("i1") - 1), "its blocks point"),
        (lambda header, columns: columns.update(kinds=columns["kinds"] + 3), "its kinds point|its blocks point"),
        (lambda header, columns: columns.update(components=columns["components"] + 99), "its components point"),
    ],
)
def test_what_does_not_belong_together_is_refused(change: Callable[[Any, Any], None], found: str, two_steps: Trace, tmp_path: Path) -> None:
    save_trace(two_steps, tmp_path / "run.npz")
    rewritten(tmp_path / "run.npz", change)
    with pytest.raises(InvalidFileError, match=found):
        load_trace(tmp_path / "run.npz")


def npy(shape: tuple[int, ...], data: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<i8", "fortran_order": False, "shape": shape})
    return buffer.getvalue() + data


@pytest.mark.parametrize(
    ("part", "content", "compression", "found"),
    [
        ("header.npy", bytes(2**20 + 1), zipfile.ZIP_DEFLATED, "declares 1.00 MiB, more than the 1.00 MiB"),
        ("sizes.npy", bytes(2**21 + 1), zipfile.ZIP_DEFLATED, "more than the 2.00 MiB"),
        ("sizes.npy", npy((10**12,)), zipfile.ZIP_DEFLATED, "declares"),
        ("sizes.npy", npy((4,), bytes(8)), zipfile.ZIP_DEFLATED, "does not hold the 4 values"),
        ("sizes.npy", npy((4,), bytes(40)), zipfile.ZIP_DEFLATED, "does not hold the 4 values"),
        ("sizes.npy", npy((4,), bytes(32)), zipfile.ZIP_LZMA, "compressed in another way"),
        ("sizes.npy", b"\x93NUMPY\x09\x00", zipfile.ZIP_DEFLATED, "damaged|version"),
    ],
    ids=["header bomb", "column bomb", "shape", "too few", "too many", "lzma", "npy version"],
)
def test_bombs_are_refused(
    part: str, content: bytes, compression: int, found: str, two_steps: Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(column_archive, "LARGEST_HEADER", 2**20)
    monkeypatch.setattr(column_archive, "LARGEST_COLUMNS", 2**21)
    path, bomb = tmp_path / "run.npz", tmp_path / "bomb.npz"
    save_trace(two_steps, path)
    with zipfile.ZipFile(path) as good, zipfile.ZipFile(bomb, "w", compression) as bad:
        for info in good.infolist():
            bad.writestr(info.filename, content if info.filename == part else good.read(info), compression if info.filename == part else None)
    with pytest.raises(InvalidFileError, match=found):
        load_trace(bomb)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    for name, found in (("text", "not a zip file"), ("other.npz", "no header.npy"), ("missing", "is not a file"), (".", "is not a file")):
        with pytest.raises(InvalidFileError, match=found):
            load_trace(tmp_path / name)


@settings(SAME_FOLDER, max_examples=75)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_harmless(data: st.DataObject, two_steps: Trace, tmp_path: Path) -> None:
    path = tmp_path / "damaged.npz"
    save_trace(two_steps, path)
    damaged = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(damaged) - 1)) :]
    else:
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(damaged)
    with contextlib.suppress(InvalidFileError):
        load_trace(path).validate()
