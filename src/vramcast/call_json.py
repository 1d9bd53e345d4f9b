"""Operator calls as plain JSON, and back: infinite floats as `{"float": "inf"}`, tuples as lists."""

from __future__ import annotations

import math
from dataclasses import replace

from vramcast.trace import OperatorCall


def call_to_json(call: OperatorCall) -> OperatorCall:
    """Return the call with attributes that JSON can hold."""
    return replace(call, attributes={name: _plain(value) for name, value in call.attributes.items()})


def _plain(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value


def call_from_json(call: OperatorCall) -> OperatorCall:
    """Return the call as it was before."""
    return replace(call, attributes={name: _original(value) for name, value in call.attributes.items()})


def _original(value: object) -> object:
    if isinstance(value, dict):
        return float(value["float"])
    if isinstance(value, list):
        return tuple(_original(item) for item in value)
    return value
