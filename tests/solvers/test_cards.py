"""Verdicts over the catalogue are those of a forecast for each card, though few traces are made."""

from __future__ import annotations

import itertools

import pytest
import torch

from vramcast.backends.eager import batching
from vramcast.gpu.catalogue import find, load
from vramcast.pipeline import estimate
from vramcast.solvers.cards import gpus_for
from vramcast.tracing.cuda.attention_choice import AttentionCall, choose
from vramcast.tracing.cuda.capability_groups import stands_for
from vramcast.workload import Workload

CAPABILITIES = sorted({card.compute_capability for card in load() if card.compute_capability is not None})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("needs_gradient", [True, False])
def test_capabilities_of_a_group_choose_alike(dtype: torch.dtype, needs_gradient: bool) -> None:
    heads = (20, 32, 64, 72, 128, 192, 208, 256, 264)
    for head, dropout, is_causal, has_mask in itertools.product(heads, (0.0, 0.1), (True, False), (True, False)):
        query, key, value = (torch.empty(2, 4, 16, head, dtype=dtype, device="meta", requires_grad=needs_gradient) for _ in range(3))
        mask = torch.empty(2, 1, 16, 16, dtype=dtype, device="meta") if has_mask else None
        call = AttentionCall(query, key, value, mask, dropout, is_causal)
        chosen = {capability: choose(call, capability) for capability in CAPABILITIES}
        assert chosen == {capability: choose(call, stands_for(capability)) for capability in CAPABILITIES}


def test_verdicts_are_those_of_each_card(monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[object] = []
    trace_program = batching.trace_program
    monkeypatch.setattr(batching, "trace_program", lambda *given: traced.append(given[2]) or trace_program(*given))
    workload = Workload.infer(batch=24, precision="fp16")
    model = "timm:vit_tiny_patch16_224"
    named = [find(name) for name in ("gtx 1050", "t4", "rtx 4090", "rtx 5090", "b200")]
    cards = {card.name: card for card in (*load()[::8], *named)}
    verdicts = gpus_for(model, workload, cards.values()).cards
    assert len(traced) == len({card.compute_capability and stands_for(card.compute_capability) for card in cards.values()})
    assert {verdict.gpu for verdict in verdicts} == set(cards)
    for card in named:
        verdict, made = next(found for found in verdicts if found.gpu == card.name), estimate(model, workload, card)
        assert verdict.figures is not None
        assert (verdict.verdict, verdict.confidence, verdict.fits) == (made.verdict, made.confidence, made.fits)
        assert verdict.headroom_bytes == made.headroom_bytes
        assert (verdict.figures.reserved_bytes, verdict.figures.low_bytes) == (made.peak.reserved_bytes, made.peak.low_bytes)


def test_the_smallest_that_suffices_comes_first() -> None:
    verdicts = gpus_for("torchvision:resnet18", Workload.train(batch=256, steps=1)).cards
    sufficient = [verdict.usable_bytes for verdict in verdicts if verdict.verdict == "fits"]
    assert sufficient == sorted(sufficient)
    assert sufficient
    ranks = [("fits", "too close to call", "does not fit").index(verdict.verdict) for verdict in verdicts]
    assert ranks == sorted(ranks)


def test_a_chip_without_bfloat16_does_not_run_it() -> None:
    workload = Workload.train(batch=2, steps=1, precision="amp-bf16")
    new, old = gpus_for("torchvision:resnet18", workload, [find("gtx 1080"), find("rtx 4090")]).cards
    assert (old.verdict, old.fits, old.figures) == ("does not run", False, None)
    assert "bfloat16" in (old.reason or "")
    assert new.verdict == "fits"


def test_a_number_of_parameters_is_judged_too() -> None:
    verdicts = gpus_for("params:1B", Workload.train(optimizer="adamw"), [find("t4"), find("a100 80gb")]).cards
    assert [(verdict.gpu, verdict.fits) for verdict in verdicts] == [(find("a100 80gb").name, True), (find("t4").name, False)]
