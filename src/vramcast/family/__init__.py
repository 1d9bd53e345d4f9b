"""`TraceFamily`: a trace whose byte counts are functions of the batch.

Traces of one program at batches n, n + 1, n + 2 have the same events in the same order, and every byte count is affine in
the batch; what a program does once per image is a stretch of events that repeats once more in each. So three small traces
tell the trace of any batch, to the byte. Likewise a few steps of text generation tell those of any number (`stretched`).
Integers throughout; neither torch nor a model is needed.
"""

from vramcast.family.fit import fit
from vramcast.family.stretch import merged, resumed, stretched
from vramcast.family.trace_family import TraceFamily

__all__ = ["TraceFamily", "fit", "merged", "resumed", "stretched"]
