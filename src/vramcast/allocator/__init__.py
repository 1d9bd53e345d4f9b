"""Replays a `Trace` through a simulated CUDA caching allocator: requested bytes in, allocated and reserved bytes out."""
