"""A device that is not there: its memory is a forecast's, told in the form in which a card tells it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from vramcast.measurement import DeviceReading, MeasuredCard, Software
from vramcast.measuring.meters import Counters, Stacks
from vramcast.snapshot import to_snapshot
from vramcast.timeline import Timeline
from vramcast.trace import Trace
from vramcast.units import GIB, MIB

CARD = MeasuredCard(name="NVIDIA A100-SXM4-40GB", memory_bytes=40 * GIB, usable_bytes=42_298_834_944, compute_capability=(8, 0), sm_count=108)
SOFTWARE = Software(driver="580.1", cuda="13.0", cudnn="91200", python="3.11", platform="Linux", packages={"torch": "2.13.0"}, variables={})
CONTEXT = 450 * MIB
HELD_BY_OTHERS = 3 * MIB


@dataclass
class RecordedMeters:
    """Answers as a card would; tensors really lie on the host."""

    recorded: object = None
    reserved: int = 100 * MIB
    allocated: int = 80 * MIB
    is_nvml_hidden: bool = False
    marks: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    device: str = "cpu"

    def start(self) -> None:
        self.asked.append("start")

    def card(self) -> MeasuredCard:
        return CARD

    def software(self) -> Software:
        return SOFTWARE

    def device_memory(self) -> DeviceReading:
        """Before the context nothing of its own, then the context, then what is reserved beside it."""
        if "start" not in self.asked:
            return DeviceReading(used_bytes=HELD_BY_OTHERS)
        held = CONTEXT + (self.reserved if "record" in self.asked else 0)
        return DeviceReading(process_bytes=None if self.is_nvml_hidden else held, used_bytes=HELD_BY_OTHERS + held, taken_bytes=HELD_BY_OTHERS + held)

    def record(self, most_events: int, stacks: Stacks = "python") -> None:
        self.asked.append("record")

    def mark(self, text: str) -> None:
        self.marks.append(text)

    def synchronize(self) -> None:
        self.asked.append("synchronize")

    def counters(self) -> Counters:
        return Counters(self.allocated // 2, self.reserved, self.allocated, self.reserved, 0)

    def reset_peaks(self) -> None:
        self.asked.append("reset")

    def snapshot(self) -> object:
        self.asked.append("snapshot")
        return self.recorded


def as_recorded(trace: Trace, timeline: Timeline) -> dict[str, Any]:
    """Return a forecast as a card's recorder would have it: Python frames, marks from the program's own thread, and no categories."""
    snapshot = copy.deepcopy(to_snapshot(trace, timeline))
    del snapshot["vramcast"]
    numbers: dict[tuple[str, int], int] = {}
    last = -1
    for entry in snapshot["device_traces"][0]:
        frames = {frame["filename"]: frame for frame in reversed(entry["frames"])}
        phase, module = (frames["phase"]["name"], frames["phase"]["line"]), frames["module"]["name"]
        number = numbers.setdefault(phase, len(numbers))
        is_known = phase[0] != "backward"  # autograd's thread sets no mark; the root gradient, on the program's own, has one
        entry["user_metadata"] = f"{number}|{phase[0]}|{phase[1]}|{module if is_known else ''}" if is_known or number != last else ""
        entry["frames"] = [{"filename": "/site-packages/torch/nn/modules/module.py", "line": 1, "name": "_call_impl"}]
        entry.pop("category", None)
        last = number
    return snapshot
