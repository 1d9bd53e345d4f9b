"""What is searched: each parameter with the values tried, and the cases it changes."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from vramcast.workspace.cudnn_parameters import ConvolutionParameters

_FP32 = ("timm-a100", "real-models-a100")
_HALF = ("ultralytics-logs", "yolo-autobatch")


@dataclass(frozen=True, slots=True)
class Knob:
    """One number of `cudnn.toml`."""

    section: str
    name: str
    values: tuple[float, ...]
    """The first is where the search begins."""
    case_sets: tuple[str, ...]
    """Those that are fitted on; the others hardly depend on it."""

    def set_to(self, parameters: ConvolutionParameters, value: float) -> ConvolutionParameters:
        """Return the parameters with another value of this one."""
        section = msgspec.structs.replace(getattr(parameters, self.section), **{self.name: value})
        return msgspec.structs.replace(parameters, **{self.section: section})

    def value_in(self, parameters: ConvolutionParameters) -> float:
        """Return its value."""
        return float(getattr(getattr(parameters, self.section), self.name))


_SHARES = (1.0, 0.0, 0.5, 1.5)
_WEIGHT_SHARES = (1.0, 0.5, 1.5, 2.0, 2.5)
_POINTWISE = (0.0, 0.25, 0.5)
_WIDTHS = (0, 8, 16, 32)

KNOBS = (
    Knob("tf32", "weight_gradient", _WEIGHT_SHARES, _FP32),
    Knob("tf32", "forward", _SHARES, _FP32),
    Knob("tf32", "input_gradient", _SHARES, _FP32),
    Knob("shapes", "pointwise", _POINTWISE, _FP32),
    Knob("shapes", "narrow_group", _WIDTHS, _FP32),
    Knob("half_turing", "weight_gradient", _WEIGHT_SHARES, _HALF),
    Knob("half_turing", "forward", _SHARES, _HALF),
    Knob("half_turing", "input_gradient", _SHARES, _HALF),
    Knob("half_ampere", "weight_gradient", _WEIGHT_SHARES, _HALF),
    Knob("half_ampere", "forward", _SHARES, _HALF),
    Knob("half_ampere", "input_gradient", _SHARES, _HALF),
)  # fmt: skip


def start(parameters: ConvolutionParameters) -> ConvolutionParameters:
    """Return the parameters with every knob where the search begins, so that the outcome does not depend on what was fitted before."""
    for knob in KNOBS:
        parameters = knob.set_to(parameters, knob.values[0])
    return parameters
