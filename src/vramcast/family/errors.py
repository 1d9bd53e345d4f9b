"""Why a family did not come about. Never seen by a user: whoever asked for the family traces directly instead."""

from __future__ import annotations


class NotAffineError(Exception):
    """Traces are no family: their events differ in more than repeated stretches, or a number is not affine in the batch."""
