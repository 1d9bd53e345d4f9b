"""Files written once are read for ever: a measurement of schema 1, kept as it was first written."""

from __future__ import annotations

from pathlib import Path

import msgspec

from vramcast.comparison.reforecast import workload_of
from vramcast.environment import Environment
from vramcast.measurement import Figure, Measurement
from vramcast.measurement_file import decode_measurement, encode, load_measurement
from vramcast.trace import Phase
from vramcast.units import MIB

GOLDEN = Path(__file__).parent / "golden" / "measurement-1.json"


def test_a_measurement_of_schema_1_is_read_and_written_alike() -> None:
    measured = load_measurement(GOLDEN)
    assert decode_measurement(encode(measured), "again") == measured
    # Two cuBLAS workspaces of 8,519,680 bytes in one segment of 20 MiB, nine tensors of at most 512 bytes in one of 2 MiB.
    assert measured.figures() == (
        Figure("allocated", 2 * 8_519_680 + 9 * 512),
        Figure("reserved", 22 * MIB),
        Figure("device", (450 + 22) * MIB),
    )
    assert measured.workload.optimizer == "sgd"
    assert workload_of(measured).environment == Environment(torch="2.13.0", cudnn_tf32=False)  # what ran, as the file says of it
    trace = measured.read_trace()
    assert trace is not None
    assert trace.phases[0] == Phase("load", -1)
    assert trace.sizes[:2].tolist() == [4 * 4 * 4, 4 * 4]  # weights and bias of a 4 x 4 layer, in fp32


def test_a_json_schema_can_be_made() -> None:
    schema = msgspec.json.schema(Measurement)
    assert set(schema["$defs"]["Measurement"]["required"]) >= {"model", "workload", "card", "software", "switches", "outcome", "phases"}
