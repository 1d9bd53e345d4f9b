"""Results remembered by what they were computed from: images of a batch are alike, so a loop over them asks the same again and again.

What a call computes is told by a number: a value at hand by that of its content, a recipe by that of its operator and of what it
reads. Calls of the same number have the same results, byte for byte; so the second one is not run, nor anything only it needs.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Hashable

import torch

from vramcast.tracing.deferred import Call, Number, run

LARGEST_CONTENT = 2**24
"""Bytes of a value up to which its content is read; a larger one is like no other."""
LARGEST_RESULT = 2**24
"""Bytes of results up to which they are remembered: what code looks at is mostly a selection, much smaller than what it is made from."""
CAPACITY = 2**26
"""Bytes remembered in all; what was asked for longest ago is forgotten first."""


class Remembered:
    """Results by number, and numbers by what they stand for."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._results: OrderedDict[Number, list[torch.Tensor]] = OrderedDict()
        self._bytes = 0
        self._writes = 0

    def run(self, call: Call) -> None:
        """Run a call after all it needs, unless it has run, or one that is the same to the byte has. Raises whatever the operators raise."""
        if call.results is not None:
            return
        number = self._number_of(call)
        known = self._results.get(number)
        if known is None:
            run(call)
            self._keep(number, call.results or [])
        else:
            self._results.move_to_end(number)
            call.answer(_copies(known))

    def written(self) -> None:
        """Note that values were written into in place: what was told by their content has to be told anew."""
        self._writes += 1

    def _number_of(self, call: Call) -> Number:
        """Number a call after all it reads; without recursion, as chains can be long."""
        waiting = [call]
        while waiting:
            untold = [other for other in waiting[-1].reads() if not self._is_told(other)]
            if untold:
                waiting.extend(untold)
                continue
            last = waiting.pop()
            if not self._is_told(last):
                last.number = self._writes, self._told(last)
        return self._known_number(call)

    def _is_told(self, call: Call) -> bool:
        return call.number is not None and call.number[0] == self._writes

    @staticmethod
    def _known_number(call: Call) -> Number:
        assert call.number is not None
        return call.number[1]

    def _told(self, call: Call) -> Number:
        if call.results is None:
            number, is_slice = self._number(call.description(self._known_number)), call.is_slice()
            if call.is_view_at_hand():
                run(call)  # costs nothing, and that images of a batch are alike is seen in their content only
            if call.results is None or not is_slice:
                return number
        return tuple(self._number(_content(value)) for value in call.results)

    def _number(self, description: Hashable) -> int:
        return self._numbers.setdefault(description, len(self._numbers))

    def _keep(self, number: Number, results: list[torch.Tensor]) -> None:
        size = _size(results)
        if size > LARGEST_RESULT:
            return
        self._results[number] = _copies(results)
        self._bytes += size
        while self._bytes > CAPACITY:
            self._bytes -= _size(self._results.popitem(last=False)[1])


def _content(value: torch.Tensor) -> Hashable:
    """Describe a value at hand by layout and content, so that only equal ones have the same description."""
    once = value
    for dimension, stride in enumerate(value.stride()):
        if stride == 0 and value.numel():
            once = once.narrow(dimension, 0, 1)  # all slices are the same
    if once.nbytes > LARGEST_CONTENT:
        return object()
    content = once.contiguous().view(-1).view(torch.uint8).numpy().data if once.numel() else b""
    return (hashlib.blake2b(content, digest_size=16).digest(), tuple(value.shape), value.stride(), value.dtype)


def _size(results: list[torch.Tensor]) -> int:
    """Return the bytes that results keep alive, those of tensors they are views of included."""
    return sum(value.untyped_storage().nbytes() for value in results)


def _copies(results: list[torch.Tensor]) -> list[torch.Tensor]:
    """Return copies that share their bytes until somebody writes into either."""
    return [torch._lazy_clone(value) for value in results]
