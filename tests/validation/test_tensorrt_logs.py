"""A builder's own total, forecast."""

from __future__ import annotations

from vramcast.validation.tensorrt_logs import TensorRtLogs


def test_a_graph_that_states_scales_for_convolutions_alone_keeps_its_sums_in_fp32() -> None:
    """MobileNetV2 at batch 64 (TensorRT 8.2.5): 41 planes of 64 images of 224 by 224 bytes, of which the widest tensor has 24."""
    case_set = TensorRtLogs()
    case = next(case for case in case_set.read(None)[0] if case.id == "TRT-0028")
    assert case_set.forecast(case).activation_bytes == case.measured_bytes == 41 * 64 * 224 * 224
