"""Stands for the process of a case: the same words on its streams, and a result at once. Run with the path of a request and a log."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec
from recorded_meters import CARD, SOFTWARE

from vramcast.measurement import DeviceReading, Measurement, Switches
from vramcast.measurement_file import save_measurement
from vramcast.measuring.request import CaseRequest


def main(request_file: str, log: str) -> int:
    request = msgspec.json.decode(Path(request_file).read_bytes(), type=CaseRequest)
    print("a constructor's chatter")
    print("ready", flush=True)
    sys.stdin.readline()
    with open(log, "a", encoding="utf-8") as file:
        file.write(f"{request.model}\n")
    if request.model == "crashes":
        print("Traceback …\nRuntimeError: the driver went away", file=sys.stderr)
        return 3
    if request.model == "hangs":
        time.sleep(60)
    switches = Switches(
        cudnn_benchmark=False, cudnn_deterministic=False, cudnn_allow_tf32=True, matmul_allow_tf32=False, deterministic_algorithms=False
    )
    full = request.model == "too large"
    measured = Measurement(
        vramcast="0", id=request.id, model=request.model, parameters=1, trainable_parameters=1, workload=request.workload, card=CARD,
        software=SOFTWARE, switches=switches, outcome="out_of_memory" if full else "ok", max_memory_allocated_bytes=1, max_memory_reserved_bytes=2,
        num_alloc_retries=0, before=DeviceReading(), after_context=DeviceReading(), peak=DeviceReading(), phases=(), seconds=0.0,
    )  # fmt: skip
    save_measurement(measured, request.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2]))
