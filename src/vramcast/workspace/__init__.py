"""Scratch memory that CUDA kernels and libraries take while they run, and that no operator's outputs show."""
