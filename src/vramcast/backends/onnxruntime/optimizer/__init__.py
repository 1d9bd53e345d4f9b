"""Rewritings of a graph that a session does before it plans: the part of ONNX Runtime's graph transformers that changes what is allocated."""
