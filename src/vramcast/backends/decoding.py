"""Text generation at the price of a few tokens: the first steps are traced, the others follow from them to the byte.

Every step of decoding does the same to tensors that are one token longer (`vramcast.family.stretch`), up to where a sliding window is
full; from there on nothing grows, so a few steps beyond that are traced.
"""

from __future__ import annotations

from collections.abc import Callable

from vramcast.backends.eager import trace_program
from vramcast.errors import WorkloadError
from vramcast.family import stretched
from vramcast.family.errors import NotAffineError
from vramcast.family.stretch import TRACED_STEPS
from vramcast.program.sizes import check_sizes
from vramcast.program.tasks.language import DEFAULT_SEQUENCE
from vramcast.sources.interface import Model
from vramcast.trace import Trace
from vramcast.workload import Workload

Progress = Callable[[str], None]

PHASE = "decode"
LARGEST_SCRIPT = 20_000_000
"""Events up to which a trace is spelled out: about 1.6 GB, and a minute of replay."""
LARGEST_DIRECT = 512
"""Steps up to which decoding is traced as it is where a few steps do not tell."""


def trace_decoding(model: Model, workload: Workload, capability: tuple[int, int] | None, progress: Progress) -> Trace:
    """Return the trace of a program that may generate text; any other program is traced as it is.

    Raises:
        WorkloadError: more tokens than the model takes, or than can be followed.
        ModelError, UntraceableError: as `trace_program`.
    """
    tokens = workload.new_tokens
    if tokens is None:
        return trace_program(model, workload, capability, progress)
    check_sizes(model, workload)
    few = min(tokens, traced_tokens(model, workload))
    trace = trace_program(model, workload.with_fields(new_tokens=few), capability, progress)
    _check_length(trace, few, tokens)
    try:
        return stretched(trace, PHASE, tokens - few)
    except NotAffineError:
        if tokens > LARGEST_DIRECT:
            raise WorkloadError(
                f"new_tokens is {tokens}, but the steps of {model.name} do not repeat, and more than {LARGEST_DIRECT} of them are too many to trace."
            ) from None
    return stretched(trace_program(model, workload, capability, progress), PHASE, 0)


def traced_tokens(model: Model, workload: Workload) -> int:
    """Return how many tokens tell all: the one of the prompt's pass, and the steps that `stretched` needs after the window is full."""
    prompt = workload.seq or model.sequence or DEFAULT_SEQUENCE
    until_full = max(model.window - prompt, 0) if model.window and workload.habits.generation == "library" else 0
    is_reached = until_full < (workload.new_tokens or 0)
    return 1 + TRACED_STEPS + (until_full + 1 if until_full and is_reached else 0)


def _check_length(trace: Trace, few: int, tokens: int) -> None:
    """Refuse more steps than can be held in memory, before they are made."""
    events = len(trace) * tokens // few
    if events > LARGEST_SCRIPT:
        raise WorkloadError(f"new_tokens is {tokens}: that many steps make about {events:,} events, and at most {LARGEST_SCRIPT:,} are followed.")
