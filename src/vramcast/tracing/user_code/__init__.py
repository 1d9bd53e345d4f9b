"""A user's own code, written for a GPU, run where there is none: what it does to memory becomes a `Trace`."""

from vramcast.tracing.user_code.run import Run, trace

__all__ = ["Run", "trace"]
