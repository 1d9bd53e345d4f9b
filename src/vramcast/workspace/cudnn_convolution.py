"""cuDNN convolutions: copies that torch makes to settle the layout, and the workspace of the plan.

Source of the copies and of the benchmark: aten/src/ATen/native/cudnn/ConvShared.cpp and Conv_v8.cpp, read at torch 2.10 to
2.13. torch puts no limit on workspaces (pytorch issue 49207). Sizes of workspaces: `convolution_engines.py`, with the
parameters of `cudnn.toml`; they are estimates.

Depthwise convolutions run on torch's own kernels or on direct ones of cuDNN, without workspace; fp64 and other types are
taken to need none either.

With `cudnn.benchmark`, the first call of every shape tries all plans in one buffer of the largest workspace among
those that fit in free memory, then empties the cache.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from vramcast.trace import Component, OperatorCall, TensorSpec
from vramcast.workspace import convolution_engines as engines
from vramcast.workspace.convolution_shape import Convolution, Direction, of_backward, of_forward, wants_channels_last
from vramcast.workspace.cudnn_parameters import ConvolutionParameters, default_parameters
from vramcast.workspace.scratch import Scratch, Site
from vramcast.workspace.tensors import dense_bytes, given, is_channels_last, is_contiguous


@dataclass(frozen=True, slots=True)
class ConvolutionRule:
    """The rule for some parameters; `forward` and `backward` are `Rule`s."""

    parameters: ConvolutionParameters = field(default_factory=default_parameters)

    def forward(self, call: OperatorCall, site: Site) -> tuple[Scratch, ...]:
        """`convolution`: the input settled before the output is allocated, the weight after."""
        source, weight = given(call, 0, 1)
        layout = wants_channels_last(source, weight)
        copies = (*_settled(source, layout, Scratch(0, through=1)), *_settled(weight, layout, Scratch(0, after=1, through=1)))
        return *copies, *self._run(of_forward(call), Direction.FORWARD, site, moment=1, launch=0)

    def backward(self, call: OperatorCall, site: Site) -> tuple[Scratch, ...]:
        """`convolution_backward`: the gradient of the input, then that of the weight, each with its own workspace."""
        grad_output, source, weight = given(call, 0, 1, 2)
        convolution, layout = of_backward(call), wants_channels_last(source, weight)
        needs_input, needs_weight = _output_mask(call)
        scratch = list(_settled(grad_output, layout, Scratch(0, until=needs_input + needs_weight, through=3)))
        if needs_input:
            scratch += _settled(weight, layout, Scratch(0, after=1, until=1, through=1))
            scratch += self._run(convolution, Direction.INPUT_GRADIENT, site, moment=1, launch=0)
        if needs_weight:
            moment = 1 + needs_input
            scratch += _settled(source, layout, Scratch(0, after=needs_input, until=moment, launch=2, through=3))
            scratch += self._run(convolution, Direction.WEIGHT_GRADIENT, site, moment, launch=2)
        return tuple(scratch)

    def workspace_bytes(self, convolution: Convolution, direction: Direction, site: Site) -> int:
        """Return the workspace of the plan that runs."""
        if convolution.is_depthwise:
            return 0
        if engines.has_tensor_cores(convolution, site.stack):
            return engines.tensor_core_bytes(convolution, direction, site.stack, self.parameters)
        if convolution.dtype == "float16":
            return engines.fp16_bytes(convolution, direction, site.stack, self.parameters)
        return engines.fp32_bytes(convolution, direction, self.parameters) if convolution.dtype == "float32" else 0

    def benchmark_bytes(self, convolution: Convolution, direction: Direction, site: Site) -> int:
        """Return the largest workspace among the plans that benchmark mode tries and that fit in free memory."""
        sizes = [self.workspace_bytes(convolution, direction, site), *self._candidates(convolution)]
        return max((size for size in sizes if size <= site.free_bytes), default=0)

    def _candidates(self, convolution: Convolution) -> list[int]:
        is_planar = convolution.dtype in ("float32", "float16") and not convolution.is_channels_last and not convolution.is_depthwise
        if not is_planar or len(convolution.image) != 2:
            return []
        sizes = [engines.unfolded_bytes(convolution, self.parameters.gemm.images)]
        if engines.takes_winograd(convolution):
            sizes.append(engines.nonfused_winograd_bytes(convolution, self.parameters))
        if engines.takes_fft(convolution, self.parameters):
            sizes.append(engines.tiled_fft_bytes(convolution, self.parameters.fft.tile))
            if max(convolution.image) <= self.parameters.fft.largest_image:
                sizes.append(engines.fft_bytes(convolution))
        return sizes

    def _run(self, convolution: Convolution, asked: Direction, site: Site, moment: int, launch: int) -> list[Scratch]:
        """Return the scratch of one convolution; `moment`: allocations of the call before it is launched."""
        direction = convolution.direction(asked)
        scratch = [Scratch(self.workspace_bytes(convolution, direction, site), after=moment, until=moment, launch=launch + 1)]
        if site.stack.cudnn_benchmark and not convolution.is_depthwise:
            size = self.benchmark_bytes(convolution, direction, site)
            key = f"cudnn:{direction.name}:{convolution}"
            scratch.insert(0, Scratch(size, after=moment, until=moment, launch=launch, once=key, empties_cache=True))
        return scratch


def _settled(spec: TensorSpec, channels_last: bool, copy: Scratch) -> tuple[Scratch, ...]:
    """Return the copy of a tensor that is not in the layout settled on."""
    is_settled = is_channels_last(spec) if channels_last else is_contiguous(spec)
    return () if is_settled else (replace(copy, size=dense_bytes(spec), component=Component.TEMPORARIES),)


def _output_mask(call: OperatorCall) -> tuple[bool, bool]:
    mask = call.attributes.get("output_mask", (True, True, True))
    assert isinstance(mask, tuple)
    return bool(mask[0]), bool(mask[1])
