"""Low-rank adapters, as peft trains them: the fields of `Workload.lora`.

The base is frozen, and beside each layer that is named lie two matrices of a low rank, which alone are trained. Names, defaults and what is kept
in which type are peft's (0.21.2, `tuners/lora/config.py`). Its `lora_alpha` is a factor, which memory does not depend on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from vramcast.errors import WorkloadError

if TYPE_CHECKING:
    from vramcast.workload import Workload

LARGEST_RANK = 65_536
ALL_LINEAR = "all-linear"
STATIC = ("tensorrt", "onnxruntime")


class Lora(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Adapters of linear layers."""

    rank: int
    """`r`: rows of `lora_A`, columns of `lora_B`."""
    target: tuple[str, ...] = ()
    """`target_modules`: the last parts of layers' names (`q_proj`, `attn.qkv`), patterns of whole names (fnmatch), or `all-linear`: all but the
    output layer of a transformers model. Empty: peft's own choice for the architecture, such as `q_proj` and `v_proj`."""
    dropout: float = 0.0
    """`lora_dropout`: chance that an input of the adapter is zeroed; a mask and a copy of the input are kept where it is not 0."""
    dtype: Literal["fp32", "module"] = "fp32"
    """Type of the adapters: fp32 also where the base is in 16 bits (`autocast_adapter_dtype=True`, peft's default), or the base's own."""
    base: Literal["module", "autocast"] = "module"
    """Type of the frozen base: as the precision says, or under autocast autocast's own, as of a checkpoint loaded in 16 bits."""
    dora: bool = False
    """`use_dora`: directions and magnitudes apart."""
    save: tuple[str, ...] = ()
    """`modules_to_save`: modules of which a copy is trained in full beside the frozen one, such as `classifier`."""

    def __post_init__(self) -> None:
        if not 1 <= self.rank <= LARGEST_RANK:
            raise WorkloadError(f"lora.rank is {self.rank}; it must be at least 1 and at most {LARGEST_RANK:,}.")
        if not 0 <= self.dropout < 1:
            raise WorkloadError(f"lora.dropout is {self.dropout}; it must be at least 0 and less than 1.")
        if ALL_LINEAR in self.target and len(self.target) > 1:
            others = ", ".join(repr(name) for name in self.target if name != ALL_LINEAR)
            raise WorkloadError(f"lora.target {ALL_LINEAR!r} and {others} exclude each other: it names every linear layer already.")


def check_lora(workload: Workload) -> None:
    """Refuse what adapters do not go with.

    Raises:
        WorkloadError: two fields exclude each other; the message names both.
    """
    if workload.lora is None:
        return
    lora = f"lora of rank {workload.lora.rank}"
    if workload.freeze:
        named = ", ".join(map(repr, workload.freeze))
        raise WorkloadError(f"{lora} and freeze {named} exclude each other: with adapters the whole base is frozen. Leave freeze out.")
    if workload.lora.base == "autocast" and workload.autocast_dtype is None:
        raise WorkloadError(
            f"lora.base 'autocast' and precision {workload.precision!r} exclude each other: there is no autocast. Take precision 'amp-bf16', "
            "or leave lora.base out: the base is held as the precision says."
        )
    if workload.backend in STATIC:
        raise WorkloadError(
            f"{lora} and backend {workload.backend!r} exclude each other: adapters are merged into the weights before export "
            "(peft's merge_and_unload), and take nothing then. Leave lora out, or take backend 'eager'."
        )
