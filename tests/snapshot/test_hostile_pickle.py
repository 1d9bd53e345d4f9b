"""Pickles that want to run code, fill the memory, or are simply broken: each is an InvalidFileError, soon."""

from __future__ import annotations

import contextlib
import os
import pickle
import struct
import subprocess
import tracemalloc
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vramcast.allocator.replay import replay
from vramcast.errors import InvalidFileError
from vramcast.snapshot import load_snapshot, plain_pickle, save_snapshot
from vramcast.snapshot.plain_pickle import load_plain_pickle
from vramcast.trace import Trace

MEMORY_LIMIT = 200 * 2**20
SAME_FOLDER = settings(max_examples=75, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Runs:
    """Pickles as a call that would create a file."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> object:
        return self.call


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder and check that it still is: nothing ran."""
    inside = tmp_path / "inside"
    inside.mkdir()
    monkeypatch.chdir(inside)
    yield tmp_path
    assert list(inside.iterdir()) == []


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "call",
    [Runs(os.system, "touch ran"), Runs(os.mkdir, "ran"), Runs(subprocess.check_call, ["touch", "ran"]), Runs(eval, "open('ran', 'w')")],
    ids=["os.system", "os.mkdir", "subprocess", "eval"],
)
def test_nothing_runs(call: Runs, protocol: int, in_folder: Path) -> None:
    path = in_folder / "hostile.pickle"
    path.write_bytes(pickle.dumps({"device_traces": [], "segments": [call]}, protocol))
    with pytest.raises(InvalidFileError, match="nothing in the file was run"):
        load_snapshot(path)


@pytest.mark.parametrize(
    ("stream", "found"),
    [
        (b"cos\nsystem\n(S'touch ran'\ntR.", "refers to code .'os system'."),
        (b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x09touch ran\x85R.", "refers to code .'posix system'."),
        (b"(S'touch ran'\nios\nsystem\n.", "has the opcode|refers to code"),
        (b"\x80\x02\x82\x01.", "refers to code"),
        (b"\x80\x02}Q.", "has the opcode BINPERSID"),
        (b"\x80\x05\x97.", "has the opcode NEXT_BUFFER"),
        (b"\x80\x04\x8f.", "has the opcode EMPTY_SET"),
        (pickle.dumps({(1, 2): 3}), "only dicts with text keys"),
        (b"\x80\x04}Na.", "it appends to a dict"),
        (b"\x80\x04]h\x07.", "a value is missing"),
        (b"\x80\x04\x8c\x01\xff.", "it is damaged: 'utf-8' codec"),
        (pickle.dumps(OrderedDict()), "refers to code .'collections OrderedDict'."),
        (pickle.dumps(np.zeros(3)), "refers to code .'numpy"),
    ],
    ids=[
        "GLOBAL",
        "STACK_GLOBAL",
        "INST",
        "EXT1",
        "BINPERSID",
        "NEXT_BUFFER",
        "set",
        "tuple keys",
        "no list",
        "memo",
        "text",
        "OrderedDict",
        "numpy",
    ],
)
def test_only_plain_data_is_read(stream: bytes, found: str, in_folder: Path) -> None:
    path = in_folder / "odd.pickle"
    path.write_bytes(stream)
    with pytest.raises(InvalidFileError, match=found):
        load_plain_pickle(path)


@pytest.mark.parametrize(
    "stream",
    [
        b"\x80\x04Nr" + struct.pack("<I", 2**31 - 1) + b".",
        b"\x80\x04X" + struct.pack("<I", 2**32 - 1) + b"text.",
        b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"text.",
        b"\x80\x04\x8d" + struct.pack("<Q", 2**64 - 1) + b"text.",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"bytes.",
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"bytes.",
        b"\x80\x04\x8b" + struct.pack("<i", 2**31 - 1) + b"1.",
        b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"}" + b".",
        b"\x80\x04]" + b"]" * 50_000 + b"a" * 50_000 + b".",
        b"\x80\x04" + b"\x85" * 1000 + b".",
        b"\x80\x04" + b"(" * 100_000 + b".",
        b"",
        b"\x80\x04",
        b"\x80\xff}.",
        b"PK\x03\x04 not a pickle",
    ],
    ids=[
        "memo index", "text", "text 2**62", "text 2**64", "bytes", "bytearray", "integer", "frame", "nested lists",
        "empty stack", "marks", "empty", "nothing", "protocol 255", "zip",
    ],
)  # fmt: skip
def test_memory_and_time_stay_bounded(stream: bytes, tmp_path: Path) -> None:
    path = tmp_path / "hostile.pickle"
    path.write_bytes(stream)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidFileError):
            load_snapshot(path)
        assert tracemalloc.get_traced_memory()[1] < MEMORY_LIMIT
    finally:
        tracemalloc.stop()


def test_a_list_of_lists_that_are_the_same_is_not_multiplied(tmp_path: Path) -> None:
    """10 levels of 10 references each: 10**10 leaves in 200 bytes."""
    value: object = {}
    for _ in range(10):
        value = [value] * 10
    path = tmp_path / "laughs.pickle"
    path.write_bytes(pickle.dumps({"segments": value, "device_traces": [value]}))
    with pytest.raises(InvalidFileError, match="segment 0 is not as PyTorch writes it"):
        load_snapshot(path)


def test_segments_that_share_a_long_list_are_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vramcast.snapshot.recording.MOST_BLOCKS", 1000)
    segment = {"address": 0, "blocks": [{"size": 1, "state": "inactive"}] * 500}
    path = tmp_path / "shared.pickle"
    path.write_bytes(pickle.dumps({"segments": [segment] * 500, "device_traces": [[]]}))
    with pytest.raises(InvalidFileError, match="more than 1,000 blocks"):
        load_snapshot(path)


@pytest.mark.parametrize(("limit", "found"), [("LARGEST_FILE", "at most 100 B are read"), ("MOST_OPCODES", "more than 100 steps")])
def test_the_limits_hold(limit: str, found: str, two_steps: Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_snapshot(two_steps, replay(two_steps), tmp_path / "big.pickle")
    monkeypatch.setattr(plain_pickle, limit, 100)
    with pytest.raises(InvalidFileError, match=f"{found}.*max_entries"):
        load_snapshot(tmp_path / "big.pickle")


def test_missing_files_and_folders(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InvalidFileError, match="there is no such file"):
            load_snapshot(path)


@SAME_FOLDER
@given(data=st.data())
def test_a_cut_file_is_refused(data: st.DataObject, two_steps: Trace, tmp_path: Path) -> None:
    path = tmp_path / "cut.pickle"
    save_snapshot(two_steps, replay(two_steps), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(InvalidFileError, match=r"cut\.pickle"):
        load_snapshot(path)


@SAME_FOLDER
@given(data=st.data())
def test_a_damaged_file_is_a_trace_or_refused(data: st.DataObject, two_steps: Trace, tmp_path: Path) -> None:
    path = tmp_path / "damaged.pickle"
    save_snapshot(two_steps, replay(two_steps), path)
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged)
    with contextlib.suppress(InvalidFileError):
        load_snapshot(path).validate()


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")) | st.binary(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)


@SAME_FOLDER
@given(value=PLAIN, protocol=st.integers(3, pickle.HIGHEST_PROTOCOL))
def test_plain_data_comes_back(value: object, protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "plain.pickle"
    path.write_bytes(pickle.dumps([value, value], protocol))
    assert load_plain_pickle(path) == [value, value]
