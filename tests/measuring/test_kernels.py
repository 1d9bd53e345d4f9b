"""Single kernels: what is a workspace and what an output, on recorded events; and a table that can be cut off anywhere."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from recorded_meters import RecordedMeters

from vramcast.errors import InvalidFileError, UnknownNameError, UsageError
from vramcast.measurement import DeviceReading
from vramcast.measuring.micro import convolutions, others, process
from vramcast.measuring.micro.kernel import Kernel
from vramcast.measuring.micro.measure_kernels import CHUNK, measure_kernels
from vramcast.measuring.micro.table import begin_table, is_complete, read_table
from vramcast.measuring.request import KernelRequest
from vramcast.snapshot.marks import read_mark
from vramcast.units import MIB

RESERVED = 100 * MIB


class KernelMeters(RecordedMeters):
    """Records an output and a workspace for each marked call, as a card would; `sizes` by call."""

    def __init__(self, *sizes: tuple[int, ...]) -> None:
        super().__init__(reserved=RESERVED)
        self.sizes = sizes
        self._entries: list[dict[str, Any]] = []

    def mark(self, text: str) -> None:
        super().mark(text)
        mark = read_mark(text)
        if mark is None or mark.phase.name != "kernel":
            return
        for size in self.sizes[mark.phase.step % len(self.sizes)]:
            address = 4096 * (len(self._entries) + 1)
            self._entries.append({"action": "alloc", "addr": address, "size": size, "stream": 0, "frames": [], "user_metadata": text})
            self._entries.append({"action": "free_completed", "addr": address, "size": size, "stream": 0, "frames": [], "user_metadata": text})

    def device_memory(self) -> DeviceReading:
        return DeviceReading(taken_bytes=RESERVED + 400 * MIB)

    def snapshot(self) -> object:
        return {"segments": [], "device_traces": [self._entries or [{"action": "snapshot"}]]}


def toy(name: str, call: Any) -> Kernel:
    return Kernel("toy", name, "fp32", "contiguous", "forward", lambda _device: call)


def test_what_a_call_asks_for_beside_its_outputs_is_its_scratch() -> None:
    outputs = torch.zeros(256)  # 1024 bytes
    meters = KernelMeters((1024, 5000, 1024), (1024,))
    rows = next(measure_kernels([toy("a", lambda: outputs), toy("b", lambda: (outputs, outputs[:3]))], meters))
    assert [(row.output_bytes, row.extra_bytes, row.largest_bytes) for row in rows] == [(1024, 6024, 5000), (1024, 0, 0)]
    assert rows[0].allocations == "1024 5000 1024"
    assert rows[0].outside_bytes == 400 * MIB


def test_chunks_are_told_apart_though_the_recorder_keeps_the_first() -> None:
    meters = KernelMeters((1024, 5000))
    outputs = torch.zeros(256)
    chunks = list(measure_kernels([toy(str(index), lambda: outputs) for index in range(2 * CHUNK)], meters))
    assert {row.allocations for rows in chunks for row in rows} == {"1024 5000"}


def test_a_torch_that_cannot_mark_is_refused() -> None:
    meters = KernelMeters((1024,))
    meters.mark = lambda text: None  # type: ignore[method-assign]
    with pytest.raises(UsageError, match="cannot mark"):
        next(measure_kernels([toy("a", lambda: torch.zeros(256))], meters))


def test_a_kernel_that_fails_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    def unknown() -> None:
        raise RuntimeError("no kernel for this\nmore words")

    rows = next(measure_kernels([toy("a", full), toy("b", unknown)], KernelMeters((512,))))
    assert [row.error for row in rows] == ["out of memory", "no kernel for this"]


@pytest.mark.parametrize("kind", ["convolution", "attention", "batch_norm", "gemm"])
def test_every_kind_runs_and_has_kernels_of_its_own(kind: str) -> None:
    kernels = list(process.kinds()[kind]())
    assert len({kernel.key for kernel in kernels}) == len(kernels)
    smallest = [
        kernel
        for kernel in kernels
        if kernel.dtype == "fp32" and any(mark in kernel.shape for mark in ("n1 c512 k512 i7 r1", "256x1024", "32x2048x1000", "l197 d64"))
    ]
    assert smallest
    rows = next(measure_kernels(smallest[:24], KernelMeters((64,))))
    assert [row.error for row in rows] == [""] * len(rows)


def test_a_few_thousand_convolutions() -> None:
    assert 2000 < len(list(convolutions.kernels())) < 5000
    assert {kernel.direction for kernel in convolutions.kernels()} == {"forward", "input_gradient", "weight_gradient"}
    assert {kernel.direction for kernel in others.attention()} == {"forward", "forward_backward"}


def test_passes_of_a_convolution_are_those_of_autograd() -> None:
    """The gradients that a kernel's call returns are those that autograd computes."""
    shape = convolutions.Shape(2, 4, 6, 9, 3, 2)
    images, weights = (torch.empty(size) for size in ((2, 4, 9, 9), (6, 4, 3, 3)))
    for direction, wanted in (("input_gradient", [images.shape, None]), ("weight_gradient", [None, weights.shape])):
        call = convolutions._Maker(shape, "fp32", "contiguous", direction)("cpu")
        found = [None if gradient is None else gradient.shape for gradient in call()[:2]]
        assert found == wanted
    assert (
        convolutions._Maker(shape, "fp32", "channels_last", "forward")("cpu")().shape == torch.nn.functional.conv2d(images, weights, None, 2, 1).shape
    )


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Half as many kernels again as go in one chunk; tells which ran."""
    ran: list[str] = []

    def kernels() -> Iterator[Kernel]:
        for index in range(CHUNK + CHUNK // 2):
            yield toy(f"a, {index}", lambda index=index: ran.append(index))

    monkeypatch.setattr(process, "kinds", lambda: {"toy": kernels})
    return ran


def test_a_table_that_was_cut_off_goes_on_where_it_was(many: list[str], tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    path = tmp_path / "kernels.csv"
    request.write_bytes(msgspec.json.encode(KernelRequest(kind="toy", output=str(path))))

    def run() -> int:
        return process.main([str(request)], io.StringIO("go\n"), io.StringIO(), lambda: KernelMeters((512,)))

    assert run() == 0
    assert is_complete(path)
    whole = path.read_text()
    assert whole.startswith('# {"card":{"name":"NVIDIA A100')
    assert len(read_table(path)) == len(many) == 150
    lines = whole.splitlines(keepends=True)
    path.write_text("".join(lines[:100]) + lines[100][:7])
    assert not is_complete(path)
    many.clear()
    assert run() == 0
    assert len(many) == 150 - 98
    assert {row.shape for row in read_table(path)} == {f"a, {index}" for index in range(150)}


def test_odd_tables_and_unknown_kinds_are_refused(tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InvalidFileError, match="no table of kernels"):
        read_table(tmp_path / "odd.csv")
    with pytest.raises(UnknownNameError, match="kind of kernel"):
        process.run_kernels(KernelRequest(kind="fft", output=str(tmp_path / "a.csv")), lambda: None)
    assert begin_table(tmp_path / "new.csv", b"{}") == set()
