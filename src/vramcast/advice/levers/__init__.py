"""The table of levers, in the order in which a practitioner would try them."""

from __future__ import annotations

from vramcast.advice.lever import Lever
from vramcast.advice.levers.activations import ATTENTION, CHANNELS_LAST, CHECKPOINTING, CONTIGUOUS, PARTIAL_CHECKPOINTING
from vramcast.advice.levers.adapters import LORA, QLORA
from vramcast.advice.levers.data import BATCH, IMAGE, INFERENCE_BATCH, MULTI_SCALE, PREFETCH, SEQUENCE
from vramcast.advice.levers.frozen import FROZEN_BACKBONE
from vramcast.advice.levers.libraries import BENCHMARK_OFF, EXPANDABLE_SEGMENTS
from vramcast.advice.levers.precision import AUTOCAST, CONVERTED, HALF
from vramcast.advice.levers.update import CLEAR_EARLIER, EIGHT_BIT, EMA_ON_CPU, FOR_LOOP, FUSED, SET_TO_NONE
from vramcast.advice.levers.validation import EMPTY_CACHE, VALIDATION_BATCH

LEVERS: tuple[Lever, ...] = (
    EXPANDABLE_SEGMENTS, BENCHMARK_OFF,
    AUTOCAST, CONVERTED, HALF, CHANNELS_LAST, CONTIGUOUS,
    FUSED, FOR_LOOP, SET_TO_NONE, CLEAR_EARLIER, EIGHT_BIT, EMA_ON_CPU,
    CHECKPOINTING, PARTIAL_CHECKPOINTING, ATTENTION,
    PREFETCH, EMPTY_CACHE, VALIDATION_BATCH,
    BATCH, INFERENCE_BATCH, MULTI_SCALE, IMAGE, SEQUENCE, FROZEN_BACKBONE, LORA, QLORA,
)  # fmt: skip
