"""What the driver and torch are asked, and what is made of answers that are missing."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from vramcast.errors import UsageError
from vramcast.measurement import DeviceReading
from vramcast.measuring.cuda_meters import CudaMeters
from vramcast.measuring.environment import software
from vramcast.measuring.meters import Counters
from vramcast.measuring.nvml import Nvml
from vramcast.measuring.sampler import Sampler, largest
from vramcast.units import GIB, MIB


class Library:
    """Stands for pynvml: one card, and the processes on it."""

    class NVMLError(Exception):
        pass

    nvmlMemory_v2 = 2  # noqa: N815

    def __init__(self, *processes: tuple[int, int | None], is_cut: bool | None = None) -> None:
        self.processes = [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in processes]
        self.is_cut = is_cut
        self.asked: list[Any] = []

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802
        self.asked.append(index)
        return "card"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        self.asked.append(uuid)
        return "slice"

    def nvmlDeviceGetMigMode(self, _card: str) -> tuple[int, int]:  # noqa: N802
        if self.is_cut is None:
            raise self.NVMLError("not supported")
        return int(self.is_cut), int(self.is_cut)

    def nvmlDeviceGetComputeRunningProcesses(self, _card: str) -> list[Any]:  # noqa: N802
        return self.processes

    def nvmlDeviceGetMemoryInfo(self, _card: str, version: int) -> Any:  # noqa: N802
        assert version == 2
        return SimpleNamespace(total=40 * GIB, used=3 * GIB)

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.95"


def test_this_process_is_found_among_others() -> None:
    nvml = Nvml(Library((1, GIB), (os.getpid(), 700 * MIB)), {})
    assert nvml.process_bytes() == 700 * MIB
    assert (nvml.used_bytes(), nvml.total_bytes(), nvml.driver_version()) == (3 * GIB, 40 * GIB, "580.95")


@pytest.mark.parametrize("processes", [(), ((1, GIB),), ((os.getpid(), None),)])
def test_a_container_hides_the_process_but_not_the_card(processes: tuple[tuple[int, int | None], ...]) -> None:
    nvml = Nvml(Library(*processes), {})
    assert nvml.process_bytes() is None
    assert nvml.used_bytes() == 3 * GIB


def test_a_slice_is_asked_by_its_name_and_a_card_that_is_cut_not_at_all() -> None:
    library = Library((os.getpid(), MIB), is_cut=True)
    assert Nvml(library, {"CUDA_VISIBLE_DEVICES": "MIG-42,MIG-43"}).process_bytes() == MIB
    assert library.asked == ["MIG-42"]
    whole = Nvml(library, {"CUDA_VISIBLE_DEVICES": "0"})
    assert (whole.process_bytes(), whole.used_bytes()) == (None, None)


def test_the_first_visible_card_is_asked() -> None:
    library = Library()
    for visible, asked in (("", 0), ("2,3", 2), ("GPU-ab", "GPU-ab")):
        Nvml(library, {"CUDA_VISIBLE_DEVICES": visible})
        assert library.asked[-1] == asked
    assert Nvml(library, {"CUDA_VISIBLE_DEVICES": "none"}).used_bytes() is None


def test_the_sampler_keeps_the_largest_of_each_figure() -> None:
    answers = [DeviceReading(used_bytes=5), DeviceReading(process_bytes=9, used_bytes=2), DeviceReading()]
    with Sampler(lambda: answers.pop() if answers else DeviceReading(), interval=0.001) as sampler:
        while answers:
            time.sleep(0.001)
    assert sampler.peak == DeviceReading(process_bytes=9, used_bytes=5)
    assert largest([]) == DeviceReading()


def test_without_cuda_the_way_out_is_named() -> None:
    with pytest.raises(UsageError, match="`vramcast estimate` takes the same options"):
        CudaMeters().start()


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """`torch.cuda` as on a card; returns what it was told."""
    told: list[Any] = []
    stats = {
        "allocated_bytes.all.current": 1, "reserved_bytes.all.current": 2, "allocated_bytes.all.peak": 3, "reserved_bytes.all.peak": 4,
        "num_alloc_retries": 5,
    }  # fmt: skip
    properties = SimpleNamespace(name="NVIDIA T4", total_memory=15 * GIB, major=7, minor=5, multi_processor_count=40)
    answers = {
        "is_available": True, "init": None, "synchronize": None, "mem_get_info": (10 * GIB, 14 * GIB), "memory_stats": stats,
        "reset_peak_memory_stats": None, "get_device_properties": properties,
    }  # fmt: skip
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, lambda *args, name=name, answer=answer: (told.append(name), answer)[1])
    monkeypatch.setattr(torch.cuda.memory, "_record_memory_history", lambda *args, **kwargs: told.append((args, kwargs)))
    monkeypatch.setattr(torch.cuda.memory, "_set_memory_metadata", told.append)
    monkeypatch.setattr(torch.cuda.memory, "_snapshot", lambda: {"segments": []})
    return told


def test_a_card_is_asked_in_torchs_words(cuda: list[Any]) -> None:
    meters = CudaMeters()
    assert meters.device_memory().taken_bytes is None  # asking would make the context
    assert "mem_get_info" not in cuda
    meters.start()
    assert meters.device_memory().taken_bytes == 4 * GIB
    assert meters.counters() == Counters(allocated=1, reserved=2, peak_allocated=3, peak_reserved=4, num_alloc_retries=5)
    card = meters.card()
    assert (card.name, card.usable_bytes, card.compute_capability, card.sm_count) == ("NVIDIA T4", 14 * GIB, (7, 5), 40)
    meters.mark("forward|0|")
    assert cuda[-1] == "forward|0|"
    meters.record(10)
    assert cuda[-1] == (("all",), {"context": "all", "stacks": "python", "max_entries": 10})
    meters.record(10, "all")
    assert cuda[-1][1]["stacks"] == "all"
    assert meters.snapshot() == {"segments": []}
    assert cuda[-1] == ((None,), {})


def test_torchs_own_recorder_takes_what_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """The arguments fit the signature that torch declares (2.13, torch/cuda/memory.py)."""
    signature = torch.cuda.memory._record_memory_history.__signature__  # type: ignore[attr-defined]
    assert signature.bind("all", context="all", stacks="python", max_entries=10).arguments["max_entries"] == 10
    assert signature.bind(None).args == (None,)


def test_versions_are_those_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_MODULE_LOADING", "EAGER")
    found = software("580.95")
    assert found.packages["torch"] == torch.__version__
    assert found.variables["CUDA_MODULE_LOADING"] == "EAGER"
    assert found.driver == "580.95"
