"""The software stack: what it says, what older versions do, and what it refuses."""

from __future__ import annotations

import pytest

from vramcast import Workload
from vramcast.environment import Environment, cublas_workspace_bytes
from vramcast.errors import UnknownNameError, WorkloadError
from vramcast.gpu.catalogue import resolve
from vramcast.gpu.context import context_bytes
from vramcast.units import GIB
from vramcast.workspace.cublas import workspace_bytes
from vramcast.workspace.stack import Stack, stack_of


@pytest.mark.parametrize(("text", "version"), [("2.1", (2, 1)), ("2.1.0+cu121", (2, 1)), ("1.12.1", (1, 12)), ("2.10.0a0", (2, 10))])
def test_versions_are_read_as_torch_prints_them(text: str, version: tuple[int, int]) -> None:
    assert Environment(torch=text).torch_version == version


@pytest.mark.parametrize("text", ["", "two", "2", "2.x", "3.0", "1.4"])
def test_unknown_versions_are_refused(text: str) -> None:
    with pytest.raises(WorkloadError, match="torch"):
        Workload.infer(environment={"torch": text})


def test_tf32_in_matrix_products_alone_is_refused() -> None:
    assert not Workload.infer(environment={"cudnn_tf32": False}).environment.cudnn_tf32
    with pytest.raises(WorkloadError, match=r"precision 'tf32' and environment\.cudnn_tf32 false exclude each other"):
        Workload.infer(precision="tf32", environment={"cudnn_tf32": False})


def test_the_scratch_is_that_of_the_card_and_its_memory() -> None:
    card = resolve("t4")
    stack = stack_of(card, Workload.infer(environment={"torch": "2.8", "cudnn_tf32": False}, cudnn_benchmark=True))
    assert stack == Stack((7, 5), 40, card.usable_bytes, torch_version=(2, 8), cudnn_benchmark=True, allow_tf32=False)
    assert stack_of(None, Workload.infer()) == Stack()


def test_unknown_fields_name_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="deterministic"):
        Workload.infer(environment={"determinstic": True})


def test_cublas_sums_sizes_and_counts() -> None:
    assert cublas_workspace_bytes(":4096:2:16:8") == 8_519_680, "torch's own default, written out"
    assert cublas_workspace_bytes(":0:0") == 0
    with pytest.raises(WorkloadError, match=":4096:8"):
        Workload.infer(environment={"cublas_workspace": "4096:8"})


def test_the_workspace_config_takes_the_place_of_the_default() -> None:
    card = resolve("t4")
    assert workspace_bytes(stack_of(card, Workload.infer())) == 8_519_680
    assert workspace_bytes(stack_of(card, Workload.infer(environment={"cublas_workspace": ":4096:8"}))) == 32 * 2**20


def test_before_torch_2_gradients_are_zeroed_in_place_and_optimizers_loop() -> None:
    old = Workload.train(environment={"torch": "1.12"})
    assert (old.set_to_none, old.optimizer_loop) == (False, "for-loop")
    assert Workload.train(environment={"torch": "1.12"}, set_to_none=True, optimizer_loop="foreach").set_to_none
    assert Workload.train(environment={"torch": "2.0"}) == Workload.train().with_fields(environment=Environment(torch="2.0"))
    assert Workload.infer(environment={"torch": "1.12"}).set_to_none, "inference has no gradients"


def test_eager_loading_adds_about_a_gigabyte() -> None:
    card = resolve("a100-40gb")
    lazy, eager = context_bytes(card), context_bytes(card, loads_eagerly=True)
    assert 0.9 * GIB < eager.typical - lazy.typical < 1.2 * GIB
    assert eager.low < eager.typical < eager.high
    assert Environment(torch="1.12").loads_eagerly
    assert not Environment(torch="1.12", module_loading="lazy").loads_eagerly
    assert not Environment().loads_eagerly
    assert Environment(cuda="11.6").loads_eagerly
    assert not Environment(cuda="11.7").loads_eagerly
    with pytest.raises(WorkloadError, match=r"cuda is 'new'"):
        Environment(cuda="new")


def test_parts_of_the_environment_go_over_those_of_a_preset() -> None:
    workload = Workload.train(preset="ultralytics", environment={"torch": "2.1"})
    assert workload.environment == Environment(torch="2.1", deterministic=True, cublas_workspace=":4096:8")
