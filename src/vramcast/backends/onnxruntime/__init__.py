"""ONNX Runtime with its CUDA provider, inference: graph, plan, memory pattern and arena."""
