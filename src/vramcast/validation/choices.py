"""What of vramcast was chosen with the eye on a set's own cases, so that its errors there are no test of that choice.

Written by hand; a rule that is changed after looking at a set belongs here.
"""

from __future__ import annotations

_CHOICES = {
    "timm-a100": (
        "the form of the convolution rule, whose parameters are fitted on the fitting half alone (`workspace/cudnn.toml`), and that a monitor does "
        "not see what cuDNN's benchmark takes for moments of the first step (seen on 160 rows of both halves, whose largest errors it "
        "explains); that the benchmark empties the cache and the loader has a stream of its own was read in torch and timm"
    ),
    "real-models-a100": "the copies that TF32 holds for the gradient of a weight (the slope of VGG-16 over its batches)",
    "ultralytics-logs": (
        "the parameters of the convolution rule for half types, fitted on one half of the models (`workspace/cudnn.toml` states the errors of "
        "either), tiled FFT before Volta (on the P100 runs), that older assigners were looked for in the sources "
        "because of these rows, and that the fullest image was thought about anew because forecasts of many objects were too low (the shape of the "
        "distribution was set before its errors were seen)"
    ),
    "yolo-autobatch": (
        "that thop's counting pass comes first: it was run for every row, the rows of one table came out worse, and only then was it noticed "
        "that this table prints no GFLOPs, so that nothing was counted there"
    ),
    "tensorrt-logs": (
        "the order in which ties of the plan are broken (among several, by the activation rows up to TRT-0083), the exceptions of the fusions, "
        "that attention with keys of another size is written, and that the graph of TRT-0028 was looked at again because its row was off (it states "
        "scales of its own, and sums stay in fp32); weights follow from no choice"
    ),
    "litgpt": "that inputs of 4-bit layers were kept before bitsandbytes 0.43.2: the change was looked for in its history because of the packed rows",
    "llm-inference-a100": "the habits of the preset transformers-4.35, found by looking for what these rows lacked",
}
"""Set -> what was chosen on it."""


def chosen_on(case_set: str) -> str:
    """Say what was chosen on a set; nothing where nothing was."""
    choice = _CHOICES.get(case_set.removesuffix("-device"))
    return f"Chosen with these cases in view, so not tested by them: {choice}." if choice else ""
