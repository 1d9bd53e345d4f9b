"""CUDA streams: which one is current, because what the caching allocator hands out on one stream is never reused on another.

Nothing waits on anything: a forecast knows no time. Blocks used on a stream that is not their own (`record_stream`) are reused at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vramcast.tracing.recorder import Recorder

POOLED = 32
"""Streams that torch makes per device and priority; further ones are the first again (c10/cuda/CUDAStream.cpp, `kStreamsPerPool`, 2.13)."""


class Idle:
    """What never waits and needs nothing done: an event, a device."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __enter__(self) -> Idle:
        return self

    def __exit__(self, *exception: object) -> None: ...

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **kwargs: None


class Stream(Idle):
    """One stream; used as a context, it is the current one within."""

    recorder: Recorder
    """Set by `streams_of`, whose streams are of one recorder."""
    made: int
    """Streams made so far."""

    def __init__(self, *args: Any, number: int | None = None, **kwargs: Any) -> None:
        if number is None:
            number = 1 + type(self).made % POOLED
            type(self).made += 1
        self.cuda_stream = self.stream_id = number
        self._before: list[int] = []

    def __enter__(self) -> Stream:
        self._before.append(self.recorder.stream)
        self.recorder.stream = self.cuda_stream
        return self

    def __exit__(self, *exception: object) -> None:
        self.recorder.stream = self._before.pop()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self.cuda_stream == other.cuda_stream

    def __hash__(self) -> int:
        return hash(self.cuda_stream)


class StreamContext:
    """`with torch.cuda.stream(...)`; None leaves the current stream as it is."""

    def __init__(self, stream: Stream | None = None) -> None:
        self._entered: Stream | Idle = Idle() if stream is None else stream

    def __enter__(self) -> None:
        self._entered.__enter__()

    def __exit__(self, *exception: object) -> None:
        self._entered.__exit__(*exception)


def streams_of(recorder: Recorder) -> list[tuple[str, Any]]:
    """Return what `torch.cuda` offers of streams, by name, as it is to answer while the recorder listens."""
    own: type[Stream] = type("Stream", (Stream,), {"recorder": recorder, "made": 0})

    def set_current(stream: Stream | None) -> None:
        if stream is not None:
            recorder.stream = stream.cuda_stream

    return [
        ("Stream", own),
        ("Event", type("Event", (Idle,), {})),
        ("device", type("device", (Idle,), {})),
        ("stream", StreamContext),  # a class: code asks what is an instance of it
        ("StreamContext", StreamContext),
        ("set_stream", set_current),
        ("current_stream", lambda device=None: own(number=recorder.stream)),
        ("default_stream", lambda device=None: own(number=0)),
    ]
