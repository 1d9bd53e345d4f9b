"""Models exported once for all tests of this folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "allocator"))  # real_arena


@pytest.fixture(scope="session", params=["resnet", "vit", "yolo"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of fixed shapes, as ONNX Runtime writes it without any optimization."""
    from real_session import export, optimized

    return optimized(export(request.param, tmp_path_factory.mktemp(request.param)), "ORT_DISABLE_ALL")
