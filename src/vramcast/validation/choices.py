"""What of vramcast was chosen with the eye on a set's own cases, so that its errors there are no test of that choice.

Written by hand; a rule that is changed after looking at a set belongs here.
"""

from __future__ import annotations

_CHOICES = {
    "timm-a100": (
        "the shares of the convolution rule (scanned on 24 of the models) and the width of groups that need no copies (chosen on all RegNet, "
        "NF-RegNet and EfficientNet runs), on both sides of the halves; `make workspaces` takes the values from the fitting half alone, "
        "which holds once the parameter file states residuals, and leaves the form of the rule"
    ),
    "real-models-a100": "the copies that TF32 holds for the gradient of a weight (the slope of VGG-16 over its batches)",
    "ultralytics-logs": (
        "the copies that half types hold for the gradient of a weight (1.5 of five values tried is the best in either half of the models, so the one "
        "half chooses what the other is judged with), tiled FFT before Volta (on the P100 runs), twice the mean objects in the "
        "fullest image, and that older assigners were looked for in the sources because of these rows"
    ),
    "yolo-autobatch": (
        "that thop's counting pass comes first: it was run for every row, the rows of one table came out worse, and only then was it noticed "
        "that this table prints no GFLOPs, so that nothing was counted there"
    ),
    "tensorrt-logs": (
        "the order in which ties of the plan are broken (among several, by the activation rows up to TRT-0083), the exceptions of the fusions, "
        "and that attention with keys of another size is written; weights follow from no choice"
    ),
    "litgpt": "that inputs of 4-bit layers were kept before bitsandbytes 0.43.2: the change was looked for in its history because of the packed rows",
    "llm-inference-a100": "the habits of the preset transformers-4.35, found by looking for what these rows lacked",
}
"""Set -> what was chosen on it."""


def chosen_on(case_set: str) -> str:
    """Say what was chosen on a set; nothing where nothing was."""
    choice = _CHOICES.get(case_set.removesuffix("-device"))
    return f"Chosen with these cases in view, so not tested by them: {choice}." if choice else ""
