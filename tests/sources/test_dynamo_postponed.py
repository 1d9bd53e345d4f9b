"""torch's compiler stays out until it is asked for, and is whole when it comes. In processes of their own, as an import cannot be undone."""

import subprocess
import sys

STEP = (
    "import sys, torch; from vramcast.sources.dynamo import dynamo_postponed\n"
    "def step():\n"
    "    layer = torch.nn.Linear(3, 3, device='meta'); optimizer = torch.optim.AdamW(layer.parameters())\n"
    "    (layer(torch.empty(2, 3, device='meta')) + 1).sum().backward(); optimizer.step()\n"
)


def output(code):
    return subprocess.run([sys.executable, "-c", STEP + code], capture_output=True, text=True, check=True).stdout


def test_a_training_step_on_meta_needs_no_compiler_and_leaves_no_trace():
    code = (
        "with dynamo_postponed():\n"
        "    with dynamo_postponed(): step()\n"
        "    print(torch._dynamo.is_compiling(), [name for name in sys.modules if name.startswith('torch._dynamo.')])\n"
        "print('torch._dynamo' in sys.modules)"
    )
    assert output(code) == "False []\nFalse\n"


def test_what_the_stand_in_lacks_brings_the_real_compiler_once():
    code = (
        "with dynamo_postponed():\n"
        "    step()\n"
        "    import torch._dynamo.utils as utils; from torch._dynamo.utils import counters\n"
        "    assert utils.counters is counters is torch._dynamo.utils.counters and utils is sys.modules['torch._dynamo.utils']\n"
        "    assert utils.__spec__.origin.endswith('utils.py')\n"
        "step(); print(torch.compile(lambda x: x + 1, backend='eager')(torch.ones(1)).item())"
    )
    assert output(code) == "2.0\n"
