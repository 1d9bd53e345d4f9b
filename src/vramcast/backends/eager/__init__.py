"""Eager PyTorch: every operator is a kernel of its own, and what autograd saves stays until the backward pass needs it."""
