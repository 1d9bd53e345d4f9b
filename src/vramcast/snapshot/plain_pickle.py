"""Pickles read as data: dicts with text keys, lists, tuples, texts, bytes, numbers. Nothing in a file can be executed.

A pickle is a program for a small stack machine. The one below knows the opcodes that make plain data and no other, so there
is nothing in it that could look up or call anything. The standard library's `pickle.Unpickler` with a `find_class` that refuses
would not execute anything either, but a hostile file can make it reserve any amount of memory (a memo index far ahead:
github.com/python/cpython/issues/115952) or spend hours in one dict (keys that are tuples with equal hashes).

Limits: `LARGEST_FILE` bytes and `MOST_OPCODES` opcodes, which bounds the memory by about 200 bytes per opcode plus four
times the file, and the time by about a microsecond per opcode.
"""

from __future__ import annotations

import os
import pickletools
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from vramcast.errors import InvalidFileError
from vramcast.units import MIB, format_bytes

LARGEST_FILE = 512 * MIB
"""A real snapshot of 100,000 events is 5 to 50 MB; `max_entries=` of `_record_memory_history` keeps it small."""
MOST_OPCODES = 2**26
"""One event of a real snapshot takes 25 to 80."""

_RECORD_LESS = "Record fewer events: torch.cuda.memory._record_memory_history(max_entries=100000)."


def load_plain_pickle(path: str | os.PathLike[str]) -> object:
    """Load a pickle of plain data, written by `pickle` at protocol 2 (which has no bytes) or higher.

    Raises:
        InvalidFileError: there is no such file, or it is no pickle, cut short, over the limits, or holds anything else.
            The message says what was found, and leaves naming the file to the caller.
    """
    data = _read(path)
    try:
        return _Machine(data).run()
    except (IndexError, KeyError, struct.error) as error:
        raise InvalidFileError("it is cut short or damaged: a value is missing. Was it written to the end?") from error
    except ValueError as error:
        raise InvalidFileError(f"it is damaged: {error}. Write it again.") from error


def _read(path: str | os.PathLike[str]) -> bytes:
    if not Path(path).is_file():
        raise InvalidFileError("there is no such file.")
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > LARGEST_FILE:
                raise InvalidFileError(f"it has {format_bytes(size)}; at most {format_bytes(LARGEST_FILE)} are read. {_RECORD_LESS}")
            return file.read(size)
    except OSError as error:
        raise InvalidFileError(f"{error.strerror or error}.") from error


class _Machine:
    """The stack machine. Opcodes and what they do: `pickletools.py`, Python 3.11."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.stack: list[object] = []
        self.marks: list[int] = []
        self.memo: dict[int, object] = {}

    def run(self) -> object:
        """Return what the program leaves on the stack."""
        data, position = self.data, 0
        for _ in range(MOST_OPCODES):
            code = data[position]
            if code == _STOP:
                return self.stack[-1]
            step, size = _STEPS.get(code, _NO_STEP)
            if step is None:
                _refuse(data, position, self.stack)
            start = position + 1
            if size < 0:
                start += _LENGTH_BYTES[size]
                size = int.from_bytes(data[position + 1 : start], "little")
            position = start + size
            step(self, data[start:position])
        raise InvalidFileError(f"it takes more than {MOST_OPCODES:,} steps to load. {_RECORD_LESS}")

    def above_mark(self) -> list[object]:
        """Take the values since the last mark off the stack."""
        mark = self.marks.pop()
        values = self.stack[mark:]
        del self.stack[mark:]
        return values

    def take(self, count: int) -> list[object]:
        """Take the last values off the stack."""
        values = [self.stack.pop() for _ in range(count)]
        return values[::-1]

    def append(self, values: list[object]) -> None:
        """Add values to the list on top of the stack."""
        target = self.stack[-1]
        if not isinstance(target, list):
            raise InvalidFileError(f"it is damaged: it appends to a {type(target).__name__}.")
        target.extend(values)

    def set_items(self, pairs: list[object]) -> None:
        """Add keys and values, in turn, to the dict on top of the stack."""
        target, keys = self.stack[-1], pairs[::2]
        if not isinstance(target, dict) or not set(map(type, keys)) <= {str}:
            raise InvalidFileError(f"it is damaged, or no snapshot: only dicts with text keys are read, not items of a {type(target).__name__}.")
        target.update(zip(keys, pairs[1::2]))

    def remember(self, index: int) -> None:
        """Number the value on top of the stack, to be fetched later."""
        self.memo[index] = self.stack[-1]


Step = Callable[[_Machine, bytes], object]


def _pushing(read: Callable[[bytes], object]) -> Step:
    return lambda machine, argument: machine.stack.append(read(argument))


def _signed(argument: bytes) -> int:
    return int.from_bytes(argument, "little", signed=True)


def _unsigned(argument: bytes) -> int:
    return int.from_bytes(argument, "little")


def _text(argument: bytes) -> str:
    return argument.decode("utf-8")


_STEPS_BY_NAME: dict[str, Step] = {
    "PROTO": lambda _machine, _argument: None,
    "FRAME": lambda _machine, _argument: None,
    "NONE": _pushing(lambda _: None),
    "NEWTRUE": _pushing(lambda _: True),
    "NEWFALSE": _pushing(lambda _: False),
    **dict.fromkeys(("BININT1", "BININT2"), _pushing(_unsigned)),
    **dict.fromkeys(("BININT", "LONG1", "LONG4"), _pushing(_signed)),
    "BINFLOAT": _pushing(lambda argument: struct.unpack(">d", argument)[0]),
    **dict.fromkeys(("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"), _pushing(_text)),
    **dict.fromkeys(("SHORT_BINBYTES", "BINBYTES", "BINBYTES8"), _pushing(bytes)),
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "EMPTY_LIST": _pushing(lambda _: []),
    "APPEND": lambda machine, _: machine.append(machine.take(1)),
    "APPENDS": lambda machine, _: machine.append(machine.above_mark()),
    "EMPTY_DICT": _pushing(lambda _: {}),
    "SETITEM": lambda machine, _: machine.set_items(machine.take(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.above_mark()),
    "EMPTY_TUPLE": _pushing(lambda _: ()),
    "TUPLE1": lambda machine, _: machine.stack.append(tuple(machine.take(1))),
    "TUPLE2": lambda machine, _: machine.stack.append(tuple(machine.take(2))),
    "TUPLE3": lambda machine, _: machine.stack.append(tuple(machine.take(3))),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.above_mark())),
    "MEMOIZE": lambda machine, _: machine.remember(len(machine.memo)),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), lambda machine, argument: machine.remember(_unsigned(argument))),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda machine, argument: machine.stack.append(machine.memo[_unsigned(argument)])),
}
_LENGTH_BYTES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
"""How many bytes say how long the argument is."""
_OPCODES = {ord(opcode.code): opcode for opcode in pickletools.opcodes}
_STEPS = {code: (_STEPS_BY_NAME[op.name], op.arg.n if op.arg else 0) for code, op in _OPCODES.items() if op.name in _STEPS_BY_NAME}
"""Per opcode: what to do, and the bytes of its argument or a key of `_LENGTH_BYTES`."""
_NO_STEP = (None, 0)
_STOP = ord(".")
_NAMES_CODE = frozenset({"GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"})


def _refuse(data: bytes, position: int, stack: Sequence[object]) -> NoReturn:
    """Say what the opcode at `position` would have done."""
    opcode = _OPCODES.get(data[position])
    if opcode is None:
        found = "it has a byte that is no opcode"
    elif opcode.name in _NAMES_CODE:
        named = stack[-2:] if opcode.name == "STACK_GLOBAL" else [next(pickletools.genops(data[position:]))[1]]
        found = f"it refers to code ({' '.join(map(str, named))[:80]!r})"
    else:
        found = f"it has the opcode {opcode.name}"
    raise InvalidFileError(f"{found} at byte {position}; only dicts, lists, texts and numbers are read, and nothing in the file was run.")
