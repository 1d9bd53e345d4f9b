"""A case in a process of its own: `python -m vramcast.measuring.case_process REQUEST.json`.

The process imports torch and builds the module, says "ready" on standard output, and touches the card only when a line comes in on standard
input: so the next case can be made ready while this one runs. Its result is the file that the request names.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from vramcast.measurement_file import save_measurement
from vramcast.measuring.request import CaseRequest
from vramcast.measuring.waiting import answer
from vramcast.sources import registry

if TYPE_CHECKING:
    from vramcast.measuring.meters import Meters


def run_case(request: CaseRequest, wait: Callable[[], None], make_meters: Callable[[], Meters] | None = None) -> None:
    """Measure one case and write its file; `wait` returns when the card is free.

    Raises:
        VramcastError: the request is wrong, the model cannot be built, or another torch is asked for than runs here.
    """
    from vramcast.measuring.cuda_meters import CudaMeters
    from vramcast.measuring.measure import Asked, build, measure
    from vramcast.measuring.torch_present import require_torch

    require_torch(request.workload)
    model = registry.find(request.model)
    module = build(model, request.workload)
    asked = Asked(id=request.id, model=f"{model.source}:{model.name}", workload=request.workload, stacks=request.stacks)
    wait()
    meters: Meters = (make_meters or CudaMeters)()
    save_measurement(measure(asked, model, module, meters), request.output)


def main(arguments: list[str], lines_in: TextIO, lines_out: TextIO, make_meters: Callable[[], Meters] | None = None) -> int:
    """Run the case of a request's file; return the exit code of `vramcast.errors`."""
    return answer(arguments[0], CaseRequest, run_case, lines_in, lines_out, make_meters)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], sys.stdin, sys.stdout))
