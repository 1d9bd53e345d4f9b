"""torch.compile writes thousands of log records that nobody reads; pytest would keep them all."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def unlogged() -> Iterator[None]:
    logger = logging.getLogger("torch.__trace")
    kept, logger.propagate = logger.propagate, False
    yield
    logger.propagate = kept
