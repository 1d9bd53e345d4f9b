"""Known values follow operators on meta tensors, and are computed only when somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vramcast.sources.dynamo import dynamo_postponed
from vramcast.tracing import deferred
from vramcast.tracing.recorder import Recording
from vramcast.tracing.tracer import Tracer
from vramcast.tracing.values import LARGEST_FOLLOWED

CUDA = "cuda"


@pytest.fixture(autouse=True)
def without_dynamo() -> Iterator[None]:
    with dynamo_postponed():
        yield


def on_card(program: Callable[[], torch.Tensor]) -> tuple[list[float], Recording]:
    """What a program's result holds when it is looked at, and what was recorded."""
    with Tracer() as tracer:
        tracer.phase("forward", 0)
        held = program().float().flatten().tolist()
        return held, tracer.recording()


def anchors(device: str) -> torch.Tensor:
    """A grid of points, made as detectors make it: factories, fills, broadcasting, views."""
    stride = torch.empty((), dtype=torch.int64, device=device).fill_(8)
    rows, columns = torch.arange(3, device=device) * stride, torch.arange(4, device=device) * stride
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack((x, y, x + stride, y + stride), -1).view(-1, 4).float()


def written_through_views(device: str) -> torch.Tensor:
    """Writes into slices and by masks, read before and after through other views."""
    grid = torch.zeros(4, 4, device=device)
    before = grid.sum() + 1
    grid[1:3, 1:3] = 2
    left = grid[:, :2]
    left += before
    grid[grid > 2] = -1
    return torch.cat((grid.flatten(), left.flatten(), before.view(1)))


def overwritten(device: str) -> torch.Tensor:
    """A result computed before its argument is overwritten keeps what was there."""
    counts = torch.arange(6, device=device)
    doubled = counts * 2
    counts.add_(100)
    counts[2] = 0
    return torch.cat((counts, doubled))


def permuted(device: str) -> torch.Tensor:
    """Views of views in other layouts."""
    return torch.arange(24, device=device).view(2, 3, 4).permute(2, 0, 1).contiguous().view(4, 6)[1:, ::2].t().reshape(-1)


def selected(device: str) -> torch.Tensor:
    """Selections whose size depends on values."""
    values = (torch.arange(20, device=device) * 7) % 5
    unique, counts = values.unique(return_counts=True)
    return torch.cat((values[values > 2], values.nonzero().flatten(), unique, counts, torch.where(values == 1)[0]))


@pytest.mark.parametrize("program", [anchors, written_through_views, overwritten, permuted, selected])
def test_values_on_the_card_are_those_of_the_cpu(program: Callable[[str], torch.Tensor]) -> None:
    held, recording = on_card(lambda: program(CUDA))
    assert held == program("cpu").float().flatten().tolist()
    assert recording.caveats == ()


@settings(deadline=None)
@given(st.lists(st.sampled_from(["add", "slice", "mask", "double", "transpose"]), max_size=12))
def test_any_mix_of_views_and_writes_gives_what_the_cpu_gives(steps: list[str]) -> None:
    def run(device: str) -> torch.Tensor:
        grid, kept = torch.arange(16, device=device).view(4, 4), []
        for step in steps:
            if step == "add":
                grid.add_(3)
            elif step == "slice":
                grid[1:3, ::2] *= 2
            elif step == "mask":
                grid[grid % 2 == 0] = 1
            elif step == "double":
                kept.append(grid * 2)
            else:
                grid = grid.t()
        return torch.cat([grid.flatten(), *(part.flatten() for part in kept)])

    with dynamo_postponed():
        assert on_card(lambda: run(CUDA))[0] == run("cpu").float().tolist()


def test_nothing_is_computed_that_nobody_looks_at(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[str] = []
    run = deferred.Call.run
    monkeypatch.setattr(deferred.Call, "run", lambda call: (computed.append(call._func._schema.name), run(call)))

    def program() -> torch.Tensor:
        mask = torch.arange(10, device=CUDA) > 6
        _loss = (torch.rand(10, device=CUDA) * mask).mean()
        return mask.sum()

    assert on_card(program)[0] == [3]
    assert {"aten::arange", "aten::gt", "aten::sum"} <= set(computed)
    assert not {"aten::rand", "aten::mul", "aten::mean"} & set(computed)


def test_what_was_not_known_is_drawn_and_said_once() -> None:
    def program() -> torch.Tensor:
        for _ in range(3):
            found = (torch.empty(9, device=CUDA) > 0).nonzero()
        return torch.tensor(float(len(found)), device=CUDA)

    held, recording = on_card(program)
    assert held == [5]  # every second of nine
    assert len(recording.caveats) == 1
    assert "nonzero in the model itself" in recording.caveats[0].message


def test_the_caveat_does_not_list_every_module() -> None:
    with Tracer() as tracer, torch._C.DisableTorchFunction():
        for index in range(9):
            tracer._values.need(torch.empty(4, device="meta"), "aten::nonzero", f"layers.{index}")
        (caveat,) = tracer.recording().caveats
    assert "nonzero in layers.0, layers.1, layers.2 and 6 more." in caveat.message


def test_a_check_over_unknown_values_holds() -> None:
    with Tracer() as tracer:
        tracer.phase("forward", 0)
        assert bool(torch.isfinite(torch.empty(8, device=CUDA)).all())
        assert not bool(torch.isinf(torch.empty(8, device=CUDA)).any())


def test_the_same_is_drawn_for_every_image() -> None:
    def program() -> torch.Tensor:
        chosen = [torch.randperm(50, device=CUDA)[:5] for _ in range(2)]
        return (chosen[0] == chosen[1]).all().view(1)

    assert on_card(program)[0] == [1]


def test_values_overwritten_by_unknown_ones_are_forgotten() -> None:
    def program() -> torch.Tensor:
        mask = torch.zeros(8, dtype=torch.bool, device=CUDA)
        mask.copy_(torch.empty(8, device=CUDA) > 0)
        return mask.nonzero()

    held, recording = on_card(program)
    assert len(held) == 4
    assert recording.caveats


def test_empty_tensors_are_known() -> None:
    def program() -> torch.Tensor:
        return torch.cat((torch.empty(2, 0, device=CUDA), torch.ones(2, 3, device=CUDA)), 1).nonzero()

    held, recording = on_card(program)
    assert len(held) == 12
    assert recording.caveats == ()


def test_huge_values_are_not_followed() -> None:
    with Tracer() as tracer:
        tracer.phase("forward", 0)
        small = torch.ones(8, device=CUDA)
        large = torch.ones(LARGEST_FOLLOWED // 4 + 1, device=CUDA)
        with torch._C.DisableTorchFunction():  # which would answer for these tensors as a card does
            assert tracer._values.of(small) is not None
            assert tracer._values.of(large) is None


def test_an_image_repeated_for_a_batch_is_not_copied() -> None:
    with Tracer() as tracer:
        tracer.phase("forward", 0)
        predictions = torch.empty(64, 100, 4, device=CUDA)
        tracer.assume([predictions], [torch.arange(400.0).view(1, 100, 4).expand(64, 100, 4)])
        second = predictions.transpose(1, 2)[1]
        with torch._C.DisableTorchFunction():
            held = tracer._values.of(second)
            assert held is not None
            assert held.untyped_storage().nbytes() == 1600
            assert held.tolist() == torch.arange(400.0).view(100, 4).t().tolist()


def test_long_chains_need_no_recursion() -> None:
    def program() -> torch.Tensor:
        count = torch.zeros(1, device=CUDA)
        for _ in range(3000):
            count = count + 1
        return count

    assert on_card(program)[0] == [3000]
