"""Peaks worked out for many points at once are those of each point's own trace, scratch included."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from vramcast.allocator.config import AllocatorConfig
from vramcast.backends.eager.program import trace_program
from vramcast.family import build
from vramcast.pipeline import forecast
from vramcast.solvers.peaks import live_peak, live_peaks
from vramcast.sources import registry
from vramcast.trace import Trace
from vramcast.workload import Workload
from vramcast.workspace.insert import insert_scratch
from vramcast.workspace.stack import Stack, stack_of

CARDS = [Stack((8, 9), 128), Stack((7, 5), 40), Stack((8, 0), 108)]


def family_of(model: str, fields: dict[str, Any], sizes: list[tuple[int, ...]]) -> Any:
    def trace(point: tuple[int, ...]) -> Trace:
        size = {"image": point[1:]} if len(point) == 3 else {"seq": point[1]}
        return trace_program(registry.find(model), Workload.train(batch=point[0], steps=1, **size, **fields), (8, 0), lambda _: None)

    (piece,) = build(trace, ("batch", "height", "width")[: 1 + len(sizes[0])], (2, 40), sizes).pieces
    return piece


def check(piece: Any, points: list[tuple[int, ...]], options: str = "") -> None:
    config = AllocatorConfig.parse(options)
    for stack in CARDS:
        found = live_peaks(piece, points, stack, config)
        expected = [live_peak(insert_scratch(piece.at(point), stack), config) for point in points]
        assert found.tolist() == expected


@pytest.mark.parametrize("fields", [{}, {"precision": "amp-fp16", "channels_last": True}])
def test_images(fields: dict[str, Any]) -> None:
    piece = family_of("torchvision:resnet18", fields, [(side, side) for side in (64, 96, 128, 160, 192)])
    check(piece, [(batch, side, side) for batch, side in itertools.product(range(2, 41, 2), (64, 96, 128, 160, 192))])
    check(piece, [(3, 64, 192), (40, 192, 64)], "roundup_power2_divisions:4")


def test_sequences_whose_scratch_is_no_polynomial(tmp_path: Path) -> None:
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128, "vocab_size": 500}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["BertForMaskedLM"], **sizes}))
    piece = family_of(f"transformers:{tmp_path}", {"precision": "bf16"}, [(length,) for length in (64, 128, 192, 256, 320)])
    check(piece, list(itertools.product(range(2, 41), (64, 128, 192, 256, 320))))


def test_the_allocator_counts_a_little_more() -> None:
    piece = family_of("torchvision:resnet18", {}, [(side, side) for side in (64, 96, 128, 160, 192)])
    points = [(4, 64, 64), (17, 128, 160), (40, 192, 192)]
    workload = Workload.train(steps=1)
    lives = live_peaks(piece, points, stack_of(None, workload), AllocatorConfig())
    for live, point in zip(lives.tolist(), points):
        allocated = forecast(piece.at(point), None, workload).peak.allocated_bytes
        assert live <= allocated <= live + live // 20 + 8 * 2**20


def test_no_points_have_no_peaks() -> None:
    piece = family_of("torchvision:resnet18", {}, [(side, side) for side in (64, 96, 128, 160)])
    assert live_peaks(piece, [], CARDS[0], AllocatorConfig()).tolist() == []
