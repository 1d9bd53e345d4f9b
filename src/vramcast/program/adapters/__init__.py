"""Low-rank adapters beside frozen layers, as peft attaches and runs them."""

from vramcast.program.adapters.attach import adapter_parameters, attach_adapters, hold_base

__all__ = ["adapter_parameters", "attach_adapters", "hold_base"]
