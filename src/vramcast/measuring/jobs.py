"""A campaign's jobs: each is a process of its own, which leaves one file of results."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from vramcast.measurement_file import FAILED
from vramcast.measuring.campaign_file import Campaign, Case
from vramcast.measuring.meters import Stacks
from vramcast.measuring.micro.table import is_complete
from vramcast.measuring.request import CaseRequest, KernelRequest, environment_of
from vramcast.workload import Workload

PYTHON_MODULES = {CaseRequest: "vramcast.measuring.case_process", KernelRequest: "vramcast.measuring.micro.process"}


@dataclass(frozen=True, slots=True)
class Job:
    """One process to be run."""

    id: str
    request: CaseRequest | KernelRequest
    environment: Mapping[str, str]

    @property
    def output(self) -> Path:
        """The file of its results."""
        return Path(self.request.output)

    @property
    def failure(self) -> Path:
        """The file that says why there are none."""
        return self.output.with_suffix(FAILED)

    @property
    def is_done(self) -> bool:
        """Whether its results, or its failure, are there."""
        if self.failure.is_file():
            return True
        return self.output.is_file() and (isinstance(self.request, CaseRequest) or is_complete(self.output))

    def command(self, request_file: Path) -> Sequence[str]:
        """Return the command that runs it."""
        return (sys.executable, "-m", PYTHON_MODULES[type(self.request)], str(request_file))


def jobs_of(campaign: Campaign, results: Path) -> tuple[Job, ...]:
    """Return a campaign's jobs in its order, kernels first: they are quick, and what is most wanted."""
    kernels = (kernel_job(kind, results) for kind in campaign.kernels)
    return (*kernels, *(case_job(case, results / f"{case.id}.json") for case in campaign.cases))


def case_job(case: Case, output: Path, stacks: Stacks = "python") -> Job:
    """Return the job of one case."""
    request = CaseRequest(id=case.id, model=case.model, workload=case.workload, output=str(output), stacks=stacks)
    return Job(case.id, request, environment_of(case.workload))


def kernel_job(kind: str, results: Path) -> Job:
    """Return the job that measures all kernels of a kind."""
    request = KernelRequest(kind=kind, output=str(results / f"kernels-{kind}.csv"))
    return Job(f"kernels-{kind}", request, environment_of(Workload()))


def write_request(job: Job, folder: Path) -> Path:
    """Write what the job's process reads."""
    path = folder / f"{job.id}.request.json"
    path.write_bytes(msgspec.json.encode(job.request))
    return path
