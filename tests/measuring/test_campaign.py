"""Campaigns: what a file says, and how processes are run, passed over, given up and cut off."""

from __future__ import annotations

import io
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
import torch
from recorded_meters import RecordedMeters

from vramcast.environment import Environment
from vramcast.errors import InvalidFileError, UnknownNameError, UsageError, WorkloadError
from vramcast.measurement_file import load_failure, load_measurement
from vramcast.measuring import case_process
from vramcast.measuring.campaign import run_campaign, tally
from vramcast.measuring.campaign_file import Case, case_id, read_campaign
from vramcast.measuring.jobs import Job, case_job, jobs_of, write_request
from vramcast.measuring.request import environment_of
from vramcast.measuring.torch_present import require_torch
from vramcast.program.sizes import check_sizes
from vramcast.sources import registry
from vramcast.workload import Workload

STAND_IN = Path(__file__).with_name("stand_in_process.py")


def jobs(models: Sequence[str], folder: Path) -> list[Job]:
    return [case_job(Case(id=model.replace(" ", "-"), model=model, workload=Workload()), folder / f"{model}.json") for model in models]


class Runner:
    """Runs jobs as stand-ins and remembers what was run and said."""

    def __init__(self, folder: Path) -> None:
        self.log, self.lines = folder / "log", []

    def __call__(self, listed: Sequence[Job], budget: float | None = None, longest_job: float = 30) -> Counter[str]:
        found = run_campaign(listed, lambda line, *_: self.lines.append(line), budget, longest_job, self.command)
        return found.outcomes + Counter(left=found.left)

    def command(self, _job: Job, request_file: Path) -> Sequence[str]:
        return (sys.executable, str(STAND_IN), str(request_file), str(self.log))

    def ran(self) -> list[str]:
        return self.log.read_text().split("\n")[:-1] if self.log.exists() else []


def test_each_case_leaves_a_result_and_is_not_run_again(tmp_path: Path) -> None:
    run = Runner(tmp_path)
    listed = jobs(["one", "too large", "crashes", "two"], tmp_path)
    assert run(listed) == {"ok": 2, "out_of_memory": 1, "failed": 1}
    assert run.ran() == ["one", "too large", "crashes", "two"]
    assert load_measurement(tmp_path / "one.json").id == "one"
    failure = load_failure(tmp_path / "crashes.failed.json")
    assert msgspec.json.decode(failure.request)["model"] == "crashes"
    assert failure.reason.endswith("the driver went away")
    assert run.lines[2] == "crashes  failed: RuntimeError: the driver went away"
    assert run(listed) == {"ok": 2, "out_of_memory": 1, "failed": 1}
    assert len(run.ran()) == 4
    (tmp_path / "one.json").unlink()
    run(listed)
    assert run.ran()[4:] == ["one"]


def test_a_job_that_takes_too_long_is_ended_and_counts_as_failed(tmp_path: Path) -> None:
    run, begin = Runner(tmp_path), time.monotonic()
    assert run(jobs(["hangs", "one"], tmp_path), longest_job=3) == {"ok": 1, "failed": 1}
    assert time.monotonic() - begin < 20
    assert "ended after 3 s" in run.lines[0]


def test_the_budget_ends_a_campaign_and_leaves_the_rest_for_the_next(tmp_path: Path) -> None:
    run, listed = Runner(tmp_path), jobs(["one", "hangs", "two"], tmp_path)
    assert run(listed, budget=4) == {"ok": 1, "left": 2}
    assert not (tmp_path / "hangs.failed.json").exists()  # its time was not its own
    assert run(listed, budget=0) == {"ok": 1, "left": 2}


def test_the_process_of_a_case_measures_when_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("from torch import nn\ndef build():\n    return nn.Sequential(nn.Linear(4, 4))\n")
    model, workload = f"{tmp_path}/model.py:build", Workload.infer(inputs=["input=2x4"])
    job = case_job(Case(id="a", model=model, workload=workload), tmp_path / "a.json")
    request, told = write_request(job, tmp_path), io.StringIO()

    def meters() -> RecordedMeters:
        assert told.getvalue() == "ready\n"
        return RecordedMeters({"segments": [], "device_traces": [[]]})

    assert case_process.main([str(request)], io.StringIO("go\n"), told, meters) == 0
    measured = load_measurement(tmp_path / "a.json")
    assert (measured.outcome, measured.model, measured.workload) == ("ok", f"python-file:{model}", workload)


def test_a_model_that_is_not_to_be_had_ends_the_process_with_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = case_job(Case(id="a", model="torchvision:resnet1", workload=Workload()), tmp_path / "a.json")
    assert case_process.main([str(write_request(job, tmp_path))], io.StringIO(), io.StringIO()) == 2
    assert "no torchvision model is called 'resnet1'" in capsys.readouterr().err


def test_another_torch_than_is_installed_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workload = Workload.infer(environment={"torch": "2.1"})
    request = write_request(case_job(Case(id="a", model="torchvision:resnet18", workload=workload), tmp_path / "a.json"), tmp_path)
    assert case_process.main([str(request)], io.StringIO(), io.StringIO()) == 2
    assert f"torch 2.1 was asked for, but {torch.__version__} would be measured" in capsys.readouterr().err
    require_torch(Workload(), said=torch.__version__)
    require_torch(Workload())
    with pytest.raises(UsageError, match=r"leave environment\.torch"):
        require_torch(Workload(), said="2.6")


def test_a_case_runs_under_its_own_variables_and_no_others() -> None:
    inherited = dict.fromkeys(("PYTORCH_CUDA_ALLOC_CONF", "CUDA_MODULE_LOADING", "CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE"), "1")
    inherited["PATH"] = "/bin"
    assert environment_of(Workload(), inherited) == {"PATH": "/bin", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    stack = environment_of(Workload.infer(environment={"module_loading": "eager", "cublas_workspace": ":4096:8"}), inherited)
    assert (stack["CUDA_MODULE_LOADING"], stack["CUBLAS_WORKSPACE_CONFIG"]) == ("EAGER", ":4096:8")
    own = environment_of(Workload(allocator="expandable_segments:True"), inherited)
    assert own["PYTORCH_CUDA_ALLOC_CONF"] == own["PYTORCH_ALLOC_CONF"] == "expandable_segments:True"


def test_the_standard_campaign_is_wide_and_every_case_is_legal() -> None:
    campaign = read_campaign("standard")
    cases = campaign.cases
    assert len(cases) >= 150
    assert len({case.id for case in cases}) == len(cases)
    assert {case.workload.precision for case in cases} >= {"fp32", "tf32", "amp-fp16", "amp-bf16", "bf16"}
    assert {case.workload.optimizer_loop for case in cases} >= {"foreach", "fused", "for-loop"}
    assert {case.workload.optimizer for case in cases} >= {"sgd", "adam", "adamw"}
    assert {(case.workload.precision, case.workload.environment.cudnn_tf32) for case in cases} >= {("fp32", True), ("fp32", False), ("tf32", True)}
    for field in ("channels_last", "cudnn_benchmark", "checkpointing"):
        assert {getattr(case.workload, field) for case in cases} == {False, True}
    assert {case.model.partition(":")[0] for case in cases} >= {"torchvision", "timm", "ultralytics"}
    without_extra = [case for case in cases if not case.model.startswith("ultralytics")]
    assert len(without_extra) >= 150
    for case in cases:
        check_sizes(registry.find(case.model), case.workload)
    assert set(campaign.kernels) == {"gemm", "batch_norm", "attention", "convolution"}


def test_jobs_leave_their_results_side_by_side(tmp_path: Path) -> None:
    listed = jobs_of(read_campaign("smoke"), tmp_path)
    assert len({job.output for job in listed}) == len(listed) == 5
    assert tally(listed).left == 5


def test_a_case_is_named_by_all_that_defines_it() -> None:
    names = {
        case_id("torchvision:resnet18", Workload(batch=2)),
        case_id("torchvision:resnet18", Workload(batch=2, channels_last=True)),
        case_id("torchvision:resnet18", Workload(batch=2, environment=Environment(cudnn_tf32=False))),
        case_id("torchvision:resnet34", Workload(batch=2)),
    }
    assert len(names) == 4
    assert case_id("torchvision:resnet18", Workload(batch=2)) == case_id("torchvision:resnet18", Workload(batch=2))
    assert all(name.startswith("torchvision-resnet") for name in names)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[[group]]\nmodels = 3", InvalidFileError),
        ("[[group]]\nmodel = ['a']", InvalidFileError),
        ("[[group", InvalidFileError),
        ("[[group]]\nmodels = ['a']\nworkload = { batch = 0 }", WorkloadError),
        ("[[group]]\nmodels = ['a']\nvary = { bach = [1] }", UnknownNameError),
    ],
)
def test_files_that_are_no_campaigns_are_refused(text: str, error: type[Exception], tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_text(text)
    with pytest.raises(error):
        read_campaign(str(tmp_path / "odd.toml"))


def test_an_unknown_campaign_is_named_with_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match="smoke, standard"):
        read_campaign("standart")
