"""Asking the driver, with a stand-in for NVML."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from vramcast.gpu.present import PresentCard, present_cards
from vramcast.units import GIB


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A driver with one card of 24 GiB, half a GiB of it reserved; returns the calls that open and close it."""
    calls: list[str] = []
    answers: dict[str, Any] = {
        "nvmlInit": lambda: calls.append("init"),
        "nvmlShutdown": lambda: calls.append("shutdown"),
        "nvmlDeviceGetCount": lambda: 1,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetName": lambda device: "NVIDIA GeForce RTX 4090",
        "nvmlDeviceGetMemoryInfo": lambda device, version: SimpleNamespace(total=24 * GIB, reserved=GIB // 2),
        "nvmlDeviceGetCudaComputeCapability": lambda device: (8, 9),
    }
    for name, answer in answers.items():
        monkeypatch.setattr(pynvml, name, answer)
    return calls


def test_reads_total_less_reserved(driver: list[str]) -> None:
    assert present_cards() == (PresentCard("NVIDIA GeForce RTX 4090", 24 * GIB, 24 * GIB - GIB // 2, (8, 9)),)
    assert driver == ["init", "shutdown"]


def test_a_driver_that_does_not_tell_is_no_card_and_is_closed(driver: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(device: int, version: int) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", refuse)
    assert present_cards() == ()
    assert driver == ["init", "shutdown"]


def test_no_driver_is_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", absent)
    assert present_cards() == ()
