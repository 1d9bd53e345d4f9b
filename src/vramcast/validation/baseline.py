"""The figures a change is held against: those of a fixed sample, committed in `validation/baseline.json`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from vramcast.atomic_file import write_atomically
from vramcast.errors import InvalidFileError
from vramcast.validation.summary import SetSummary, Share, Validation
from vramcast.validation.wording import percent

_MEDIAN_TOLERANCE = 0.005
_P95_TOLERANCE = 0.02


class Figure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one metric of one set came to."""

    cases: int
    median: float
    p95: float


class Baseline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The figures of a sample, and by how much they may worsen; all are shares of the measured memory."""

    schema: str = "vramcast/baseline-1"
    sample: int | None
    """Cases a set at most; None: all."""
    median_tolerance: float = _MEDIAN_TOLERANCE
    p95_tolerance: float = _P95_TOLERANCE
    sets: dict[str, dict[str, Figure]]
    """By name of the set and metric."""


def read(path: Path) -> Baseline:
    """Read a baseline.

    Raises:
        InvalidFileError: the file is missing, or is no baseline.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Baseline)
    except OSError as error:
        raise InvalidFileError(f"the baseline {path} cannot be read: {error.strerror}. Make one with --write-baseline.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidFileError(f"{path} is no baseline: {error}. Make one with --write-baseline.") from None


def write(path: Path, validation: Validation, sample: int | None) -> None:
    """Write the figures of a validation as the new baseline; sets that were not run keep theirs.

    Raises:
        OutputError: the path cannot be written.
        InvalidFileError: what is there is no baseline.
    """
    kept = read(path).sets if path.exists() else {}
    new = {item.name: {share.metric: _figure(share) for share in item.metrics} for item in validation.sets if item.metrics}
    text = msgspec.json.format(msgspec.json.encode(Baseline(sample=sample, sets=dict(sorted((kept | new).items())))), indent=2)
    write_atomically(path, lambda file: file.write(text + b"\n"))


def worsened(baseline: Baseline, validation: Validation) -> list[str]:
    """Say, a sentence each, which sets are further off than the baseline allows, or have other cases."""
    return [complaint for item in validation.sets if item.name in baseline.sets for complaint in _complaints(baseline, item)]


def _complaints(baseline: Baseline, summary: SetSummary) -> list[str]:
    figures = {share.metric: _figure(share) for share in summary.metrics}
    complaints = []
    for metric, before in baseline.sets[summary.name].items():
        now, where = figures.get(metric), f"{summary.name}, {metric}"
        if now is None or now.cases < before.cases:
            complaints.append(f"{where}: {now.cases if now else 0} cases have a forecast, in the baseline {before.cases}.")
            continue
        for name, value, limit, tolerance in (
            ("median", now.median, before.median, baseline.median_tolerance),
            ("95th percentile", now.p95, before.p95, baseline.p95_tolerance),
        ):
            if value > limit + tolerance:
                complaints.append(
                    f"{where}: the {name} is {percent(value, 2)}, in the baseline {percent(limit, 2)}; it may worsen by {percent(tolerance)}."
                )
    return complaints


def _figure(share: Share) -> Figure:
    return Figure(cases=share.accuracy.cases, median=round(share.accuracy.median, 5), p95=round(share.accuracy.p95, 5))
