"""Versions of what runs, and the environment variables that change what CUDA and torch take."""

from __future__ import annotations

import os
import platform
from importlib import metadata

import torch

from vramcast.measurement import Software

PACKAGES = ("torch", "torchvision", "timm", "transformers", "ultralytics", "bitsandbytes")
VARIABLES = (
    "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF", "PYTORCH_NO_CUDA_MEMORY_CACHING", "CUBLAS_WORKSPACE_CONFIG", "CUBLASLT_WORKSPACE_SIZE",
    "CUDA_MODULE_LOADING", "CUDA_VISIBLE_DEVICES", "CUDA_LAUNCH_BLOCKING", "NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)  # fmt: skip
"""Read by torch 2.13 or the CUDA libraries (docs/source/cuda_environment_variables.rst and notes/cuda.rst of torch)."""


def software(driver: str) -> Software:
    """Return what runs here; `driver` as NVML says."""
    cudnn = torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None
    return Software(
        driver=driver,
        cuda=torch.version.cuda or "",
        cudnn="" if cudnn is None else str(cudnn),
        python=platform.python_version(),
        platform=platform.platform(),
        packages=dict(_versions()),
        variables={name: os.environ[name] for name in VARIABLES if name in os.environ},
    )


def _versions() -> list[tuple[str, str]]:
    found = []
    for package in PACKAGES:
        try:
            found.append((package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            continue
    return found
