"""Llama 3 8B as torchtitan trains it: what its layers keep for the backward pass. Run as a program it prints that.

The steps of a layer are those of `torchtitan/models/llama/model.py`, January 2025; norms those of `rms_norm_symint`
(aten/src/ATen/native/layer_norm.cpp, torch 2.4), before CUDA had a kernel of its own for them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vramcast.backends.compile.capture import CompiledFunction
from vramcast.trace import Event
from vramcast.tracing.tracer import Tracer
from vramcast.units import GIB

WIDTH, HEADS, KEY_HEADS, HIDDEN, LAYERS = 4096, 32, 8, 14336, 32
"""Llama 3 8B."""
HEAD = WIDTH // HEADS
TOKENS, HOPPER = 4096, (9, 0)
INPUT = TOKENS * WIDTH * 2
"""A layer's input in bf16: all that is kept of a layer whose activations are recomputed."""


class Norm(nn.Module):
    """Root mean square norm in steps, in fp32 up to the weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-5)).type_as(x) * self.weight


class WideNorm(Norm):
    """The same in fp32 to the end, as torch had it later, still without a kernel."""

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight).type_as(x)


class Layer(nn.Module):
    """Attention with rotary positions and shared keys, and a gated perceptron. Takes 1 x S x WIDTH."""

    def __init__(self, positions: int, norm: type[Norm]) -> None:
        super().__init__()
        self.norms = nn.ModuleList(norm() for _ in range(2))
        self.query, self.out = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(2))
        self.key, self.value = (nn.Linear(WIDTH, KEY_HEADS * HEAD, bias=False) for _ in range(2))
        self.gate, self.up = (nn.Linear(WIDTH, HIDDEN, bias=False) for _ in range(2))
        self.down = nn.Linear(HIDDEN, WIDTH, bias=False)
        self.register_buffer("turns", torch.empty(positions, HEAD // 2, dtype=torch.complex64))
        self.turns: Tensor

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._attended(self.norms[0](x))
        normed = self.norms[1](x)
        added: Tensor = x + self.down(F.silu(self.gate(normed)) * self.up(normed))
        return added

    def _attended(self, x: Tensor) -> Tensor:
        count = x.shape[1]
        query = self._turned(self.query(x).view(1, count, HEADS, HEAD))
        key = _repeated(self._turned(self.key(x).view(1, count, KEY_HEADS, HEAD)))
        value = _repeated(self.value(x).view(1, count, KEY_HEADS, HEAD))
        attended = F.scaled_dot_product_attention(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), is_causal=True)
        result: Tensor = self.out(attended.transpose(1, 2).contiguous().view(1, count, WIDTH))
        return result

    def _turned(self, x: Tensor) -> Tensor:
        pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(pairs * self.turns[None, :, None]).flatten(3).type_as(x)


def _repeated(x: Tensor) -> Tensor:
    batch, count, heads, size = x.shape
    return x[:, :, :, None].expand(batch, count, heads, HEADS // heads, size).reshape(batch, count, HEADS, size)


def kept_by_a_layer(compiles: bool, norm: type[Norm] = Norm) -> int:
    """Return the bytes that one layer more keeps after the forward pass; layers are alike."""
    with torch.device("meta"):
        layers = [Layer(TOKENS, norm).to(torch.bfloat16) for _ in range(3)]
        for layer in layers:
            layer.turns = torch.empty(TOKENS, 64, dtype=torch.complex64)
    tracer = Tracer(HOPPER)
    held = []
    with tracer:
        for layer in layers:
            tracer.adopt(layer)
        tracer.phase("forward", 0)
        hidden = torch.zeros(1, TOKENS, WIDTH, dtype=torch.bfloat16, device="meta", requires_grad=True) * 1
        for layer in layers:
            run = CompiledFunction(layer.forward, tracer, HOPPER, (2, 13)) if compiles else layer
            hidden = run(hidden)
            held.append(live(tracer))
        recording = tracer.recording()
    del hidden, recording
    assert held[2] - held[1] == held[1] - held[0]
    return held[2] - held[1]


def live(tracer: Tracer) -> int:
    recorder = tracer.recorder
    signs = {Event.ALLOCATE: 1, Event.FREE: -1}
    return sum(signs[Event(kind)] * recorder.sizes[block] for kind, block in zip(recorder.kinds, recorder.blocks))


if __name__ == "__main__":
    for name, compiles, norm in (("eager", False, Norm), ("eager, norms in fp32 to the end", False, WideNorm), ("compiled", True, Norm)):
        kept = kept_by_a_layer(compiles, norm) - INPUT
        print(f"{name}: {LAYERS * kept / GIB:.2f} GiB of {LAYERS} layers, {LAYERS // 2 * kept / GIB:.2f} GiB of {LAYERS // 2}, beyond their inputs")
