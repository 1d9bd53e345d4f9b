"""Fixtures of the allocator's tests."""

from __future__ import annotations

import pytest
from allocator_traces import TraceBuilder


@pytest.fixture
def builder() -> TraceBuilder:
    """An empty trace to add requests to."""
    return TraceBuilder()
