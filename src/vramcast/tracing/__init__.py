"""Runs programs on meta tensors and records what they do to memory."""
