"""Text generation at the price of a few tokens: the first steps are traced, the others follow from them to the byte.

Every step of decoding does the same to tensors that are one token longer (`vramcast.family.stretch`), up to where a sliding window is
full. Where that is far away, a second trace begins shortly before it, and the first one is stretched to meet it.
"""

from __future__ import annotations

from collections.abc import Callable

from vramcast.backends.eager.program import trace_program
from vramcast.errors import WorkloadError
from vramcast.family import merged, resumed, stretched
from vramcast.family.errors import NotAffineError
from vramcast.family.stretch import TRACED_STEPS
from vramcast.program.sizes import check_sizes
from vramcast.program.tasks.language import DEFAULT_SEQUENCE
from vramcast.sources.interface import Model
from vramcast.trace import Trace
from vramcast.workload import Workload

Progress = Callable[[str], None]
Tracing = Callable[[Workload], Trace]

PHASE = "decode"
LARGEST_SCRIPT = 20_000_000
"""Events up to which a trace is spelled out: about 1.6 GB, and a minute of replay."""
LARGEST_DIRECT = 512
"""Steps up to which decoding is traced as it is where a few steps do not tell."""
NEAR = 12
"""Steps before the window is full at which a second trace begins: it has `TRACED_STEPS` that grow before that."""


def trace_decoding(model: Model, workload: Workload, capability: tuple[int, int] | None, progress: Progress) -> Trace:
    """Return the trace of a program that generates text.

    Raises:
        WorkloadError: more tokens than the model takes, or than can be followed.
        ModelError, UntraceableError: as `trace_program`.
    """

    def trace(part: Workload) -> Trace:
        return trace_program(model, part, capability, progress)

    check_sizes(model, workload)
    tokens = workload.new_tokens or 1
    whole = workload.with_fields(seq=workload.seq or model.sequence or DEFAULT_SEQUENCE)
    try:
        return merged(_told(trace, whole, _until_full(model, whole)), PHASE)
    except NotAffineError:
        if tokens > LARGEST_DIRECT:
            raise WorkloadError(
                f"new_tokens is {tokens}, but the steps of {model.name} do not repeat, and more than {LARGEST_DIRECT} of them are too many to trace."
            ) from None
    return merged(trace(workload), PHASE)


def _until_full(model: Model, workload: Workload) -> int:
    """Return after how many steps a sliding window is full; 0 where it is from the start, or never gets so."""
    if model.window is None or workload.habits.generation == "tuples":
        return 0
    steps = max(model.window - (workload.seq or 0), 0)
    return steps if steps < (workload.new_tokens or 0) else 0


def _told(trace: Tracing, workload: Workload, until_full: int) -> Trace:
    """Return the trace of a workload as a few steps tell it."""
    tokens, prompt = workload.new_tokens or 1, workload.seq or 1
    few = 1 + TRACED_STEPS
    if until_full <= NEAR:
        few = min(tokens, few + (until_full + 1 if until_full else 0))
        short = trace(workload.with_fields(new_tokens=few))
        _check_length(short, few, tokens)
        return stretched(short, PHASE, tokens - few)
    skipped = until_full - NEAR
    short = trace(workload.with_fields(new_tokens=few))
    _check_length(short, few, tokens)
    later = _told(trace, workload.with_fields(seq=prompt + skipped, new_tokens=tokens - skipped), NEAR)
    return resumed(short, later, PHASE, skipped)


def _check_length(trace: Trace, few: int, tokens: int) -> None:
    """Refuse more steps than can be held in memory, before they are made."""
    events = len(trace) * tokens // few
    if events > LARGEST_SCRIPT:
        raise WorkloadError(
            f"new_tokens is {tokens}: that many steps make about {events:,} events, and at most {LARGEST_SCRIPT:,} are followed. "
            "Name fewer tokens, or one prompt (steps 1)."
        )
