"""Devices: a meta tensor says it is on `cuda:0`, and whatever is asked to go to CUDA goes to meta."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from vramcast.tracing.cuda.function import Arguments, Keywords

if TYPE_CHECKING:
    from vramcast.tracing.functions import CudaFunctions

_CUDA = torch.device("cuda", 0)
_META = torch.device("meta")


def is_cuda(device: object) -> bool:
    """Tell whether a device argument means a GPU: `"cuda"`, `torch.device("cuda:0")`, or a bare index."""
    if device is None or isinstance(device, bool):
        return False
    if isinstance(device, torch.device):
        return device.type == "cuda"
    return isinstance(device, int) or (isinstance(device, str) and device.startswith("cuda"))


def as_meta(device: object) -> torch.device:
    """Return where a CUDA device's tensors live in a forecast."""
    return _META


def device(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> torch.device:
    """`x.device`."""
    found: torch.device = func(*args, **kwargs)
    return _CUDA if found.type == "meta" else found


def is_cuda_tensor(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> bool:
    """`x.is_cuda`."""
    return bool(_is_meta(args[0]))


def is_cpu_tensor(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> bool:
    """`x.is_cpu`."""
    return not _is_meta(args[0])


def is_meta_tensor(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> bool:
    """`x.is_meta`: never, on a GPU."""
    return False


def get_device(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> int:
    """`x.get_device()`."""
    return 0 if _is_meta(args[0]) else -1


def tensor_type(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> Any:
    """`x.type()` names the type, `x.type(dtype)` converts."""
    source, *rest = args
    if not rest and not kwargs:
        name = str(torch.empty(0, dtype=source.dtype).type())
        return name.replace("torch.", "torch.cuda.") if _is_meta(source) else name
    target = rest[0] if rest else kwargs["dtype"]
    if isinstance(target, str):
        return source.to(torch.empty(0).type(target.replace(".cuda", "")).dtype)
    return source.to(target) if isinstance(target, torch.dtype) else func(*args, **kwargs)


def to(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> torch.Tensor:
    """`x.to(…)` in all its forms."""
    moved = tuple(_META if not isinstance(value, (bool, torch.Tensor)) and is_cuda(value) else value for value in args[1:])
    if is_cuda(kwargs.get("device")):
        kwargs = kwargs | {"device": _META}
    output: torch.Tensor = func(args[0], *moved, **kwargs)
    return output


def to_cuda(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> torch.Tensor:
    """`x.cuda()`."""
    source: torch.Tensor = args[0]
    return source.to(_META)


def to_cpu(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> torch.Tensor:
    """`x.cpu()`: known or drawn values."""
    source: torch.Tensor = args[0]
    return source.to("cpu")


def numpy(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> Any:
    """`x.numpy()` of what was on the device."""
    return func(_off_device(args[0]), *args[1:], **kwargs)


def tolist(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> Any:
    """`x.tolist()`."""
    return _off_device(args[0]).tolist()


def from_data(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> torch.Tensor:
    """`torch.tensor(data, device="cuda")`: made on the CPU, then moved, as torch does, so that its values are known."""
    target = kwargs.get("device")
    if not (is_cuda(target) or (isinstance(target, torch.device) and target.type == "meta")):
        output: torch.Tensor = func(*args, **kwargs)
        return output
    if isinstance(args[0], torch.Tensor) and _is_meta(args[0]):
        output = args[0].to(dtype=kwargs.get("dtype") or args[0].dtype)
        return output
    made: torch.Tensor = func(*args, **(kwargs | {"device": "cpu"}))
    return made.to(_META)


def pinned(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> torch.Tensor:
    """`x.pin_memory()`: host memory, which is not forecast."""
    source: torch.Tensor = args[0]
    return source


def nothing(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> None:
    """Calls that move no memory."""


def _off_device(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("cpu") if _is_meta(tensor) else tensor


def _is_meta(tensor: torch.Tensor) -> bool:
    return bool(torch._C.TensorBase.is_meta.__get__(tensor))  # type: ignore[attr-defined]
