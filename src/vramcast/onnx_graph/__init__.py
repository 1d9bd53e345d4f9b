"""ONNX models at fixed sizes: dimensions bound, shapes inferred, turned into an `OperatorGraph`. No weight is ever read."""
