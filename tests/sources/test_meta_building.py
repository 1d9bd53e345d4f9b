"""Modules are built on the meta device: parameters and buffers without bytes, plain tensors with their values."""

import pytest
import torch
from torch import nn

from vramcast.errors import ModelError
from vramcast.sources.building import build_on_meta, on_meta
from vramcast.sources.interface import Model


def model(build):
    return Model(name="net", source="test", task="generic", build=build)


def all_on_meta(module):
    return all(tensor.is_meta for tensor in [*module.parameters(), *module.buffers()])


class Anchored(nn.Module):
    """Reads values while it is built, as strides and drop rates are read."""

    def __init__(self):
        super().__init__()
        self.drop = [rate.item() for rate in torch.linspace(0, 0.5, 3)]
        self.stride = torch.tensor([8.0, 16.0])
        self.scale = nn.Parameter(torch.tensor(0.5))
        self.register_buffer("position", torch.arange(int(self.stride.max())))
        self.norm = nn.BatchNorm2d(4)


def test_parameters_and_buffers_go_to_meta_and_plain_tensors_keep_their_values():
    with on_meta():
        module = Anchored()
    assert all_on_meta(module)
    assert (module.position.shape, module.position.dtype) == ((16,), torch.int64)
    assert module.drop == [0.0, 0.25, 0.5]
    assert module.stride.tolist() == [8.0, 16.0]


def test_a_large_module_takes_no_memory_and_no_initialising():
    with on_meta():
        module = nn.Linear(10**6, 10**6)
    assert module.weight.is_meta
    assert module.weight.numel() == 10**12


def test_a_parameter_taken_in_twice_stays_one():
    with on_meta():
        shared = nn.Parameter(torch.tensor([1.0, 2.0]))
        module = nn.ParameterList([shared, shared])
    assert module[0] is module[1]
    assert module[0].is_meta


def test_attributes_and_requires_grad_of_a_parameter_survive():
    with on_meta():
        parameter = nn.Parameter(torch.tensor([1.0]), requires_grad=False)
        parameter.no_weight_decay = True
        module = nn.ParameterList([parameter])
    assert module[0].no_weight_decay
    assert not module[0].requires_grad


def test_a_constructor_that_asks_for_a_gpu_gets_meta():
    with on_meta():
        module = nn.Sequential(nn.Linear(2, 3, device="cuda"), nn.Linear(3, 4).cuda(), nn.Linear(4, 5).to(torch.device("cuda", 0)))
    assert all_on_meta(module)


def test_outside_nothing_is_changed():
    with on_meta():
        nn.Linear(2, 2)
    module = nn.Linear(2, 2)
    assert module.weight.device.type == "cpu"
    assert nn.init.constant_(module.weight, 3.0).sum() == 12


def test_a_constructor_that_needs_values_is_run_for_real_and_moved():
    def build(classes):
        module = nn.Linear(2, 2)
        module.norm = abs(module.weight[0, 0].item())
        return module

    module = build_on_meta(model(build))
    assert all_on_meta(module)
    assert module.norm > 0


def test_a_constructor_that_fails_is_a_model_error_with_its_message():
    def build(classes):
        raise ValueError("no such depth")

    with pytest.raises(ModelError, match="test:net could not be built: ValueError: no such depth"):
        build_on_meta(model(build))
