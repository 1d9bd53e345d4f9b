"""`TraceFamily`: a trace whose byte counts are functions of the batch and of the size of images or sequences.

Traces of one program at batches n, n + 1, n + 2 have the same events in the same order, and every byte count is affine in
the batch; what a program does once per image is a stretch of events that repeats once more in each (`BatchFamily`). Sizes of
images and sequences change byte counts as polynomials, and rarely the events. So a few small traces tell the trace of any
point, to the byte; where they do not, the family has several pieces, or leaves a point out, and says so. Likewise a few steps
of text generation tell those of any number (`stretched`). Integers throughout; neither torch nor a model is needed.
"""

from vramcast.family.batch_family import BatchFamily
from vramcast.family.batch_fit import fit
from vramcast.family.builder import build
from vramcast.family.reach import fit_sizes, reaching
from vramcast.family.resized import resized
from vramcast.family.store import load_family, save_family
from vramcast.family.stretch import merged, resumed, stretched
from vramcast.family.trace_family import TraceFamily

__all__ = [
    "BatchFamily", "TraceFamily", "build", "fit", "fit_sizes", "load_family", "merged", "reaching", "resized", "resumed", "save_family",
    "stretched",
]  # fmt: skip
