"""Weights packed into fewer bits: layers that keep what a library keeps, and make for each call what its kernels make."""

from vramcast.program.quantized.pack import pack_weights

__all__ = ["pack_weights"]
