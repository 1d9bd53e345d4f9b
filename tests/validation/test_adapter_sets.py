"""Runs with adapters as cases: what was trained in the real run is what the workload trains."""

from __future__ import annotations

import csv
import re
from importlib import resources

import pytest
from torch import nn

from vramcast.program.adapters import attach_adapters
from vramcast.program.precision import module_dtype
from vramcast.sources.building import build_on_meta
from vramcast.sources.transformers import Transformers
from vramcast.validation import registry
from vramcast.validation.case import Case
from vramcast.validation.figures import Figures

MEASURED = resources.files("vramcast.validation").joinpath("measured")


class Asked:
    """Keeps which model a set asks about."""

    model = ""

    def of_model(self, model: str, workload: object, gpu: object) -> Figures:
        self.model = model
        return Figures(allocated_bytes=1, reserved_bytes=1, context_bytes=1)


def cases_of(name: str) -> dict[str, Case]:
    return {case.id: case for case in registry.find(name).read(None)[0]}


def rows_of(table: str) -> dict[str, dict[str, str]]:
    with MEASURED.joinpath(table).open(encoding="utf-8") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def adapted(set_name: str, case: Case) -> nn.Module:
    asked = Asked()
    registry.find(set_name).forecast(case, asked)  # type: ignore[arg-type]
    module = build_on_meta(Transformers().load(asked.model.partition(":")[2]), None)
    assert case.workload.lora is not None
    attach_adapters(module, case.workload.lora, module_dtype(case.workload.precision))
    return module


def trained(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


@pytest.mark.parametrize("name", ["PEFT-0084", "PEFT-0105"])
def test_as_many_parameters_as_peft_trained_and_counted(name: str) -> None:
    stated = rows_of("peft_l40s.csv")[name]["extra"]
    module = adapted("peft-l40s", cases_of("peft-l40s")[name])
    assert trained(module) == int(re.search(r"num_trainable=(\d+)", stated)[1])  # type: ignore[index]
    assert sum(parameter.numel() for parameter in module.parameters()) == int(re.search(r"num_total=(\d+)", stated)[1])  # type: ignore[index]


def test_as_many_parameters_as_litgpt_trained() -> None:
    case = cases_of("litgpt")["LITGPT-0011"]
    stated = rows_of("litgpt.csv")["LITGPT-0011"]["extra"]
    assert "trainable=4,194,304" in stated
    assert trained(adapted("litgpt", case)) == 4_194_304
    assert (case.workload.batch, case.workload.seq, case.workload.accumulate, case.measured_bytes) == (1, 1304, 128, 21_300_000_000)


def test_what_is_packed_and_how_many_are_trained_together_is_read_off_the_rows() -> None:
    cases = cases_of("litgpt")
    assert [cases[f"LITGPT-00{number}"].workload.weights for number in (11, 12, 13)] == [None, "int4-nf4", "int4-nf4-double"]
    hub = cases["LITGPT-0079"].workload
    assert hub.lora is not None
    assert (hub.batch, hub.seq, hub.accumulate, hub.lora.rank, hub.lora.target) == (2, 512, 4, 32, ())
    everything = cases["LITGPT-0112"].workload.lora
    assert everything is not None
    assert "lm_head" in everything.target


def test_the_row_a_length_was_fitted_on_is_no_case() -> None:
    cases, unexpressed = registry.find("peft-l40s").read(None)
    assert {case.id for case in cases} == {"PEFT-0084", "PEFT-0102", "PEFT-0105"}
    assert "fitted on it" in next(row.reason for row in unexpressed if row.id == "PEFT-0099")


@pytest.mark.parametrize(("set_name", "name", "within"), [("peft-l40s", "PEFT-0105", 0.005), ("litgpt", "LITGPT-0079", 0.03)])
def test_measured_runs_are_met(set_name: str, name: str, within: float) -> None:
    """Llama-3.2-3B with peft on an L40S, reserved; Llama-2-7B with LitGPT's own model code on an A10G, allocated."""
    case = cases_of(set_name)[name]
    figures = registry.find(set_name).forecast(case)
    forecast = figures.reserved_bytes if case.metric == "reserved" else figures.allocated_bytes
    assert forecast == pytest.approx(case.measured_bytes, rel=within)
