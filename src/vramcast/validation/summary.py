"""What a validation found, as it is printed, written as JSON (`validation-1.schema.json`) and compared with a baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from vramcast.provenance import packages
from vramcast.validation.accuracy import Accuracy, Judged, Verdict, accuracy, judge
from vramcast.validation.case import METRICS, CaseSet, Law, Unexpressed
from vramcast.validation.known_reasons import reason
from vramcast.validation.outcome import Outcome
from vramcast.validation.refusals import law
from vramcast.validation.targets import TargetResult, hold
from vramcast.version import __version__

_WORST = 10


class Miss(msgspec.Struct, frozen=True, kw_only=True):
    """A case that is far off, and why."""

    id: str
    model: str
    batch: int
    metric: str
    error: float
    reason: str


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """Cases that share a reason for having no forecast, or no expression as a workload."""

    reason: str
    ids: tuple[str, ...]


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """The accuracy of one part of a set."""

    metric: str
    family: str
    """Empty: all families."""
    accuracy: Accuracy


class SetSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What was found on one set."""

    name: str
    citation: str
    is_open: bool
    fitted: str
    """What the constant stands for; empty where none is fitted."""
    constant_bytes: int | None
    expressed: int
    """Rows that are cases."""
    forecast: int
    """Cases asked for in this run."""
    metrics: tuple[Share, ...]
    families: tuple[Share, ...]
    worst: tuple[Miss, ...]
    failures: tuple[Missing, ...]
    unexpressed: tuple[Missing, ...]
    laws: tuple[Law, ...]
    """What must hold of the measured runs themselves, and that no run that ran is refused; empty where they show no law."""


class Validation(msgspec.Struct, frozen=True, kw_only=True):
    """A validation of one or several sets. Errors are relative: 0.02 is 2 %."""

    schema: str = "vramcast/validation-1"
    vramcast: str
    packages: dict[str, str]
    sets: tuple[SetSummary, ...]
    targets: tuple[TargetResult, ...]


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """A set with all that was read and forecast of it."""

    case_set: CaseSet
    expressed: int
    outcomes: tuple[Outcome, ...]
    unexpressed: tuple[Unexpressed, ...]
    laws: tuple[Law, ...] = ()
    incomplete: dict[str, str] = {}
    """Id -> reason: figures that are evidently not of a whole run (`completeness.py`); calibration leaves them out."""

    @property
    def verdict(self) -> Verdict:
        """The outcomes judged."""
        return judge(self.outcomes, is_fitted=bool(self.case_set.environment))


def summarize(examined: Sequence[Examined]) -> Validation:
    """Judge what was examined."""
    verdicts = {item.case_set.name: item.verdict for item in examined}
    sets = tuple(_summary(item, verdicts[item.case_set.name]) for item in examined)
    return Validation(vramcast=__version__, packages=packages(), sets=sets, targets=hold(verdicts))


def _summary(examined: Examined, verdict: Verdict) -> SetSummary:
    case_set, judged = examined.case_set, verdict.judged
    metrics = [metric for metric in METRICS if any(item.outcome.case.metric == metric for item in judged)]
    families = sorted({item.outcome.family for item in judged})
    return SetSummary(
        name=case_set.name,
        citation=case_set.citation,
        is_open=case_set.is_open,
        fitted=case_set.environment,
        constant_bytes=verdict.constant_bytes,
        expressed=examined.expressed,
        forecast=len(examined.outcomes),
        metrics=tuple(share for metric in metrics for share in _share(judged, metric, "")),
        families=tuple(share for metric in metrics for family in families for share in _share(judged, metric, family)),
        worst=tuple(map(_miss, sorted(judged, key=lambda item: -abs(item.error))[:_WORST])),
        failures=_grouped(((outcome.case.id, outcome.error) for outcome in verdict.failures), lambda text: text),
        unexpressed=_grouped(((row.id, row.reason) for row in examined.unexpressed), _kind_of),
        laws=(*examined.laws, *law(examined.outcomes)),
    )


def _share(judged: Iterable[Judged], metric: str, family: str) -> list[Share]:
    """Return the accuracy of one part; nothing for an empty part."""
    part = [item for item in judged if item.outcome.case.metric == metric and family in ("", item.outcome.family)]
    return [Share(metric=metric, family=family, accuracy=accuracy(part))] if part else []


def _miss(item: Judged) -> Miss:
    case = item.outcome.case
    return Miss(id=case.id, model=case.model, batch=case.workload.batch, metric=case.metric, error=item.error, reason=reason(item.outcome))


def _grouped(rows: Iterable[tuple[str, str]], kind: Callable[[str], str]) -> tuple[Missing, ...]:
    groups: dict[str, list[str]] = {}
    for row_id, text in rows:
        groups.setdefault(kind(text), []).append(row_id)
    return tuple(Missing(reason=text, ids=tuple(ids)) for text, ids in groups.items())


def _kind_of(text: str) -> str:
    """Return a reason without what it quotes, so that rows it holds for alike stand together."""
    opening, _, rest = text.partition(" '")
    return opening + rest.partition("'")[2] if rest else opening
