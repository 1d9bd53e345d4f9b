"""A user's own training code, unchanged, becomes a trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import user_scripts
from torch import nn

import vramcast
from vramcast.sources import python_object
from vramcast.trace import Component

LABELS = 512
"""One block: the allocator's smallest. The task `generic` has no labels."""


def traced(code: Callable[[], object]) -> vramcast.Trace:
    with vramcast.trace() as run:
        code()
    run.trace.validate()
    return run.trace


def held(trace: vramcast.Trace) -> dict[str, int]:
    return vramcast.forecast(trace).components


def phases(trace: vramcast.Trace) -> list[tuple[str, int]]:
    return [(phase.name, phase.step) for phase in trace.phases if phase.name != "staging"]


def bytes_of(trace: vramcast.Trace, component: Component) -> int:
    return int(trace.sizes[trace.components == component].sum())


def size_of(module: nn.Module) -> int:
    return sum(parameter.nbytes for parameter in module.parameters())


@pytest.fixture(scope="module")
def training() -> vramcast.Trace:
    return traced(user_scripts.train)


def test_a_script_needs_what_the_estimate_of_its_model_says(training: vramcast.Trace) -> None:
    workload = vramcast.Workload.train(
        batch=user_scripts.BATCH, image=user_scripts.SIDE, precision="amp-fp16", optimizer="adamw", ema="gpu", checkpointing=True
    )
    own = vramcast.forecast(training, "rtx 4090")
    asked = vramcast.estimate(user_scripts.classifier, workload, "rtx 4090")
    assert own.peak.reserved_bytes == asked.peak.reserved_bytes
    assert (own.peak.phase, own.peak.module, own.peak.operator) == (asked.peak.phase, asked.peak.module, asked.peak.operator)
    assert 0 <= own.peak.allocated_bytes - asked.peak.allocated_bytes <= 2 * LABELS
    for component in ("weights", "buffers", "gradients", "optimizer_states", "ema", "cast_copies", "activations", "temporaries", "workspace"):
        assert own.components[component] == asked.components[component], component
    assert own.components["ema"] > own.components["weights"] > 0


def test_phases_and_subject_are_read_from_the_code(training: vramcast.Trace) -> None:
    step = ["zero_grad", "forward", "backward", "optimizer"]
    assert [name for name, _ in phases(training)] == ["load", *step, *step]
    assert [number for name, number in phases(training) if name == "backward"] == [0, 1]
    assert (training.subject.name, training.subject.source) == ("Net", python_object.SOURCE)
    assert training.subject.parameters == sum(parameter.numel() for parameter in user_scripts.Net().parameters())


def test_blocks_belong_to_the_modules_of_the_code(training: vramcast.Trace) -> None:
    weights = training.components == Component.WEIGHTS
    owners = {training.modules[module] for module in training.block_modules[weights]}
    assert owners == {"stem", "head", *(f"blocks.{i}.{part}" for i in range(3) for part in ("conv", "norm"))}


def test_torch_is_as_it_was_afterwards() -> None:
    def exchanged() -> list[object]:
        return [nn.Module.__call__, nn.Module._apply, torch.compile, torch.save, torch.autograd.backward, torch.optim.Optimizer.zero_grad]

    def code() -> None:
        torch.set_default_device("cuda")
        raise KeyError

    before = exchanged()
    with pytest.raises(KeyError):
        traced(code)
    assert exchanged() == before
    assert not torch.cuda.is_available() or torch.version.cuda
    assert torch.zeros(1).device.type == "cpu"
    assert not torch.__future__.get_swap_module_params_on_conversion()


def test_there_is_no_trace_before_the_block_ends() -> None:
    with vramcast.trace() as run, pytest.raises(vramcast.UsageError, match="end"):
        _ = run.trace
    assert run.trace.subject.parameters == 0


def test_moving_keeps_parameters_ties_and_optimizers() -> None:
    def code() -> None:
        model = nn.Module()
        model.embed, model.head = nn.Embedding(100, 16), nn.Linear(16, 100, bias=False)
        model.head.weight = model.embed.weight
        optimizer = torch.optim.SGD(model.parameters(), momentum=0.9)
        parameter = model.head.weight
        model.cuda()
        assert model.embed.weight is model.head.weight is parameter
        assert parameter.is_cuda
        assert parameter.device == torch.device("cuda", 0)
        ids = torch.randint(0, 100, (4, 8)).cuda()
        F.cross_entropy(model.head(model.embed(ids)).flatten(0, 1), ids.flatten()).backward()
        optimizer.step()
        assert optimizer.state[parameter]["momentum_buffer"].is_cuda

    trace = traced(code)
    assert bytes_of(trace, Component.WEIGHTS) == bytes_of(trace, Component.OPTIMIZER_STATES) == 100 * 16 * 4


def test_moving_with_a_type_takes_the_bytes_of_that_type() -> None:
    def code() -> None:
        nn.Linear(64, 64).to("cuda", torch.bfloat16)(torch.ones(1, 64, device="cuda", dtype=torch.bfloat16))

    assert bytes_of(traced(code), Component.WEIGHTS) == (64 * 64 + 64) * 2


def test_converting_on_the_device_keeps_what_a_block_is_for() -> None:
    def code() -> None:
        model = nn.Linear(64, 64).cuda().half()
        model(torch.ones(1, 64, device="cuda", dtype=torch.half))

    trace = traced(code)
    assert bytes_of(trace, Component.WEIGHTS) == (64 * 64 + 64) * (4 + 2)
    assert (trace.freed_at[trace.components == Component.WEIGHTS] < len(trace)).sum() >= 2


@pytest.mark.parametrize("how", ["set_default_device", "with"])
def test_the_default_device_counts(how: str) -> None:
    def body() -> None:
        model, image = user_scripts.Net(), torch.randn(2, 3, 32, 32)
        labels = torch.tensor([3, 1])
        assert image.is_cuda
        assert labels.tolist() == [3, 1]
        F.cross_entropy(model(image), labels).backward()

    def code() -> None:
        if how == "with":
            with torch.device("cuda"):
                body()
        else:
            torch.set_default_device("cuda")
            assert torch.get_default_device() == torch.device("cuda", 0)
            body()

    trace = traced(code)
    assert bytes_of(trace, Component.WEIGHTS) == size_of(user_scripts.Net())
    assert bytes_of(trace, Component.GRADIENTS) == size_of(user_scripts.Net())


def test_accumulated_gradients_are_one_step_and_validation_is_its_own_phase() -> None:
    def code() -> None:
        model = user_scripts.Net().cuda()
        optimizer = torch.optim.SGD(model.parameters())
        image = torch.randn(2, 3, 32, 32).cuda()
        for _ in range(2):
            for _ in range(2):
                model(image).mean().backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        with torch.inference_mode():
            assert model.eval()(image).softmax(-1).cpu().numpy().shape == (2, 10)

    step = ["forward", "backward", "forward", "backward", "optimizer", "zero_grad"]
    trace = traced(code)
    assert [name for name, _ in phases(trace)] == ["load", *step, *step, "validation"]
    assert {number for name, number in phases(trace) if name == "forward"} == {0, 1}


def test_inference_mode_records_what_no_grad_records() -> None:
    def code(mode: Callable[[], torch.no_grad | torch.inference_mode]) -> Callable[[], None]:
        def infer() -> None:
            model = user_scripts.Net().cuda().eval()
            with mode(), torch.autocast("cuda"):
                model(torch.randn(2, 3, 32, 32, device="cuda"))

        return infer

    sizes = [traced(code(mode)).sizes.tolist() for mode in (torch.no_grad, torch.inference_mode)]
    assert sizes[0] == sizes[1]


def test_memory_statistics_count_along() -> None:
    def code() -> None:
        assert torch.cuda.memory_allocated() == 0
        tensor = torch.empty(1000, device="cuda")
        assert torch.cuda.memory_allocated() == torch.cuda.max_memory_allocated() == 4096
        del tensor
        assert (torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()) == (0, 4096)
        torch.cuda.reset_peak_memory_stats()
        assert torch.cuda.max_memory_allocated() == 0
        assert torch.cuda.memory_stats()["allocated_bytes.all.peak"] == 0

    traced(code)


def test_the_card_answers_for_itself() -> None:
    with vramcast.trace(gpu="rtx 4090"):
        properties = torch.cuda.get_device_properties(0)
        assert (properties.major, properties.minor) == torch.cuda.get_device_capability() == (8, 9)
        assert "4090" in torch.cuda.get_device_name()
        assert 23 * 2**30 < torch.cuda.mem_get_info()[1] <= 24 * 2**30
        assert torch.accelerator.current_accelerator() == torch.device("cuda")


def test_files_on_disk(tmp_path: Path) -> None:
    torch.save(user_scripts.Net().state_dict(), tmp_path / "before.pt")

    def code() -> None:
        weights = torch.load(tmp_path / "before.pt", map_location="cuda")
        assert all(tensor.is_cuda for tensor in weights.values())
        model = user_scripts.Net()
        model.load_state_dict(weights)
        torch.save(model.cuda().state_dict(), tmp_path / "after.pt")

    trace = traced(code)
    assert not (tmp_path / "after.pt").exists()
    assert any("torch.save" in caveat.message for caveat in trace.caveats)


def test_a_compiled_module_is_the_module_with_a_caveat() -> None:
    def code() -> None:
        model = user_scripts.Net()
        assert torch.compile(model, mode="max-autotune") is model

        @torch.compile(dynamic=True)
        def double(x: torch.Tensor) -> torch.Tensor:
            return 2 * x

        double(torch.ones(3, device="cuda"))

    caveats = traced(code).caveats
    assert sum("torch.compile" in caveat.message for caveat in caveats) == 1


def test_a_device_tensor_is_printed_without_values() -> None:
    texts: list[str] = []
    traced(lambda: texts.append(f"{torch.ones(2, 3).cuda()} {torch.ones((), device='cuda').sum():.1f}"))
    assert texts == ["tensor(..., device='cuda:0', size=(2, 3)) 1.0"]


def test_several_models_have_names_of_their_own() -> None:
    def code() -> None:
        generator, critic = nn.Linear(8, 16).cuda(), nn.Sequential(nn.Linear(16, 1)).cuda()
        critic(generator(torch.randn(4, 8, device="cuda"))).mean().backward()

    trace = traced(code)
    owners = {trace.modules[module] for module in trace.block_modules[trace.components == Component.WEIGHTS]}
    assert owners == {"", "Sequential.0"}
