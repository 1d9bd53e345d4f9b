"""The fit of cuDNN's workspaces: what is searched, on which half, and what is written."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import msgspec
import pytest
from hand_made_outcomes import failed, outcome

from vramcast.errors import InvalidFileError
from vramcast.trace import Trace
from vramcast.trace_file import load_trace
from vramcast.validation import registry
from vramcast.validation.accuracy import in_first_half
from vramcast.validation.figures import AS_USER
from vramcast.validation.fingerprint import trace_fingerprint
from vramcast.validation.workspace_fit import fitting_cases, loss, parameter_file
from vramcast.validation.workspace_fit.fit import residuals
from vramcast.validation.workspace_fit.kept_traces import FromKeptTraces
from vramcast.validation.workspace_fit.knobs import KNOBS, Knob, start
from vramcast.validation.workspace_fit.search import search
from vramcast.workload import Workload
from vramcast.workspace.cudnn_convolution import ConvolutionRule
from vramcast.workspace.cudnn_parameters import ConvolutionParameters, Residual, default_parameters
from vramcast.workspace.rules import RULES, rules_with

P = default_parameters()
OWN = Path(str(resources.files("vramcast.workspace").joinpath("cudnn.toml")))
MODEL, WORKLOAD, CARD = "torchvision:resnet18", Workload.train(batch=32, image=128), "A100 40GB"


def _silent(done: int, total: int) -> None: ...


def _distances(target: ConvolutionParameters) -> object:
    """The loss is how far the knobs are from a target: every one counts alike."""

    def losses(candidates: Sequence[ConvolutionParameters]) -> list[float]:
        return [sum(abs(each.value_in(candidate) - each.value_in(target)) for each in KNOBS) for candidate in candidates]

    return losses


def test_the_search_finds_what_the_cases_ask_for() -> None:
    target = start(P)
    for knob in KNOBS:
        target = knob.set_to(target, knob.values[-1])
    assert search(start(P), KNOBS, _distances(target), _silent) == target  # type: ignore[arg-type]


def test_what_makes_no_difference_is_left_where_the_search_begins() -> None:
    assert search(start(P), KNOBS, lambda candidates: [0.1] * len(candidates), _silent) == start(P)


def test_where_the_search_begins_does_not_depend_on_an_earlier_fit() -> None:
    other = KNOBS[0].set_to(P, 0.123)
    assert start(other) == start(P)


def test_only_one_half_of_the_models_is_fitted_on(tmp_path: Path) -> None:
    header = (
        "id,task,framework,model,batch_per_gpu,image_or_seq,precision,optimizer,extra,metric,value,unit,gpu,torch_version,source,confidence,notes\n"
    )
    names = [f"model{index}" for index in range(40)]
    table = header + "".join(f"A-{name},train,timm,{name},32,,,,,device,{6000 + len(name)},MiB,A100,,here,med,\n" for name in names)
    (tmp_path / "timm_train_a100.csv").write_text(table)
    (tmp_path / "real_models_a100.csv").write_text(header + "B-1,train,,vgg,32,,,,,device,8000,MiB,A100,,here,high,\n")
    cases = fitting_cases.read(str(tmp_path))
    fitted = fitting_cases.fitted_on(cases)
    assert {item.case_set for item in cases} == set(fitting_cases.SETS)
    assert all(in_first_half(item.case.group) for item in fitted)
    assert {item.case.group for item in fitted}.isdisjoint(item.case.group for item in cases if item not in fitted)
    assert len(fitting_cases.fitted_on(cases, ("timm-a100",))) == sum(in_first_half(f"timm:{name}") for name in names)


def test_sets_count_alike_however_many_cases_they_have() -> None:
    def of(case_set: str, count: int, forecast: int) -> list[object]:
        return [msgspec.structs.replace(outcome(index, forecast, 1000, metric="reserved"), case_set=case_set) for index in range(count)]

    both = [*of("ultralytics-logs", 100, 1100), *of("yolo-autobatch", 1, 1300)]
    assert loss.loss(both) == pytest.approx((0.1 + 0.3) / 2 * 4 / 3)  # type: ignore[arg-type]


def test_a_constant_of_the_environment_is_no_loss() -> None:
    shifted = [msgspec.structs.replace(outcome(index, 1000 * index, 1000 * index + 77), case_set="timm-a100") for index in range(1, 9)]
    assert loss.loss(shifted) == 0
    assert loss.constant_of(shifted) == 77


def test_residuals_of_the_other_half_take_the_constant_of_the_fitting_half() -> None:
    outcomes = [msgspec.structs.replace(outcome(index, 1000, 1000), case_set="timm-a100") for index in range(40)]
    outcomes = [
        item if in_first_half(item.case.group) else msgspec.structs.replace(item, case=msgspec.structs.replace(item.case, measured_bytes=2000))
        for item in [*outcomes, msgspec.structs.replace(failed(99), case_set="timm-a100")]
    ]
    first, second = residuals(outcomes)
    assert (first.half, first.median, second.half, second.median) == ("fitted", 0, "held back", 0.5)
    assert first.cases + second.cases == 40, "a case without a forecast has no error"


def test_the_file_keeps_its_comments(tmp_path: Path) -> None:
    path = tmp_path / "cudnn.toml"
    path.write_bytes(OWN.read_bytes())
    changed = P
    for knob in KNOBS:
        changed = knob.set_to(changed, 0.25 if isinstance(knob.value_in(P), float) and knob.name != "narrow_group" else 4)
    found = (Residual(case_set="timm-a100", precision="fp32", half="held back", cases=3, median=0.01234567, p90=0.5),)
    parameter_file.write(path, changed, KNOBS, found)
    read = parameter_file.read(path)
    assert [knob.value_in(read) for knob in KNOBS] == [knob.value_in(changed) for knob in KNOBS]
    assert read.residuals == (msgspec.structs.replace(found[0], median=0.0123),)
    assert {line for line in OWN.read_text().splitlines() if line.startswith("# ")} <= set(path.read_text().splitlines())
    once = path.read_text()
    parameter_file.write(path, changed, KNOBS, found)
    assert path.read_text() == once, "the old residuals make room for the new ones"


@pytest.mark.parametrize("text", ["", "[tf32]\nforward = 'much'", "\x00"])
def test_a_file_of_another_kind_is_refused_and_stays_as_it_is(text: str, tmp_path: Path) -> None:
    path = tmp_path / "cudnn.toml"
    path.write_text(text)
    with pytest.raises(InvalidFileError, match="not those of the convolution rule"):
        parameter_file.read(path)
    assert path.read_text() == text


def test_what_is_forecast_from_a_kept_trace_is_what_a_user_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case_set = registry.find("real-models-a100")
    kept = FromKeptTraces(case_set, tmp_path, RULES)
    asked = AS_USER.of_model(MODEL, WORKLOAD, CARD)
    for _ in range(2):
        found = kept.of_model(MODEL, WORKLOAD, CARD)
        assert (found.allocated_bytes, found.reserved_bytes) == (asked.allocated_bytes, asked.reserved_bytes)
        monkeypatch.setattr("vramcast.sources.registry.find", lambda name: pytest.fail("traced again"))
    none = start(P)
    for name in ("forward", "input_gradient", "weight_gradient"):
        none = Knob("tf32", name, (), ()).set_to(none, 0.0)
    without = FromKeptTraces(case_set, tmp_path, rules_with(ConvolutionRule(none)))
    assert without.of_model(MODEL, WORKLOAD, CARD).reserved_bytes < asked.reserved_bytes


def test_a_damaged_trace_is_made_anew(tmp_path: Path) -> None:
    case_set = registry.find("real-models-a100")
    path = tmp_path / f"{trace_fingerprint(case_set, MODEL, WORKLOAD, CARD)}.trace"
    path.write_bytes(b"cut off")
    remembered: dict[str, Trace] = {}
    FromKeptTraces(case_set, tmp_path, RULES, remembered).of_model(MODEL, WORKLOAD, CARD)
    assert len(load_trace(path)) == len(remembered[path.stem])


def test_other_parameters_leave_traces_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trace depends neither on the rules of scratch nor on the allocator; were they part of the digest, each fit would trace all cases."""
    from vramcast import provenance
    from vramcast.validation import fingerprint

    paths = set(provenance._files(Path(registry.__file__).parents[1], provenance._WITHOUT_EFFECT | fingerprint._AFTER_TRACING))
    rooms = {path.relative_to(Path(registry.__file__).parents[1]).parts[0] for path in paths}
    assert {"tracing", "program", "backends"} <= rooms
    assert not rooms & {"workspace", "allocator", "validation"}
