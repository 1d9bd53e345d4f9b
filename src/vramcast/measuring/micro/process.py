"""Kernels of one kind in a process of their own: `python -m vramcast.measuring.micro.process REQUEST.json`; see `case_process.py`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import msgspec

from vramcast.errors import UnknownNameError
from vramcast.measuring.micro.table import append_rows, begin_table, complete
from vramcast.measuring.request import KernelRequest
from vramcast.measuring.waiting import answer

if TYPE_CHECKING:
    from vramcast.measuring.meters import Meters
    from vramcast.measuring.micro.kernel import Kernel


def kinds() -> Mapping[str, Callable[[], Iterator[Kernel]]]:
    """Return the kinds of kernels, each with what lists its kernels."""
    from vramcast.measuring.micro import convolutions, others

    return {"convolution": convolutions.kernels, "attention": others.attention, "batch_norm": others.batch_norm, "gemm": others.gemm}


def run_kernels(request: KernelRequest, wait: Callable[[], None], make_meters: Callable[[], Meters] | None = None) -> None:
    """Measure what is not in the table yet; `wait` returns when the card is free.

    Raises:
        UnknownNameError: no kernels of this kind.
        UsageError: there is no card.
    """
    from vramcast.measuring.cuda_meters import CudaMeters
    from vramcast.measuring.micro.measure_kernels import measure_kernels

    known = kinds()
    if request.kind not in known:
        raise UnknownNameError("kind of kernel", request.kind, known)
    wait()
    meters: Meters = (make_meters or CudaMeters)()
    meters.start()
    path = Path(request.output)
    done = begin_table(path, msgspec.json.encode({"card": meters.card(), "software": meters.software()}))
    for rows in measure_kernels((kernel for kernel in known[request.kind]() if kernel.key not in done), meters):
        append_rows(path, rows)
    complete(path)


def main(arguments: list[str], lines_in: TextIO, lines_out: TextIO, make_meters: Callable[[], Meters] | None = None) -> int:
    """Run the kernels of a request's file; return the exit code of `vramcast.errors`."""
    return answer(arguments[0], KernelRequest, run_kernels, lines_in, lines_out, make_meters)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], sys.stdin, sys.stdout))
