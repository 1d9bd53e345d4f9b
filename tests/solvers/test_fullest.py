"""What is held where most is allocated adds up to what the process needs."""

from __future__ import annotations

import vramcast
from vramcast.solvers.fullest import components_at_fullest, modules_at_fullest, phase_at_fullest
from vramcast.workload import Workload


def test_components_add_up_and_their_blocks_are_the_peak_of_what_is_allocated() -> None:
    estimate = vramcast.estimate("torchvision:resnet18", Workload.train(batch=8, image=128), "rtx 4090")
    held = components_at_fullest(estimate)
    assert sum(held.values()) == estimate.peak.device_bytes
    assert sum(held.values()) - held["reserved_unallocated"] - held["cuda_context"] == estimate.peak.allocated_bytes
    assert held["reserved_unallocated"] == estimate.peak.reserved_bytes - estimate.peak.allocated_bytes
    assert next(share.bytes for share in modules_at_fullest(estimate) if not share.name) == estimate.peak.allocated_bytes


def test_an_optimizer_s_step_is_not_taken_for_what_fills_the_card() -> None:
    # Activations outweigh all else, and exist in forward and backward only.
    estimate = vramcast.estimate("torchvision:resnet18", Workload.train(batch=16, image=224), "rtx 4090")
    assert phase_at_fullest(estimate) in ("forward", "backward")
    held = components_at_fullest(estimate)
    del held["cuda_context"]
    assert max(held, key=lambda name: held[name]) == "activations"
