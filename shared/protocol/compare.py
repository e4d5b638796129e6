"""Two scorings of the same patients compared: pooled counts go out, sums come back."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flwr.app import ConfigRecord, MetricRecord, RecordDict

from shared.errors import ProtocolError
from shared.metrics.grades import GradeCounts
from shared.metrics.histogram import Histogram
from shared.metrics.paired import ClassSums, PairedSums
from shared.metrics.possible import require_possible
from shared.outcome.binary import BINARY
from shared.protocol.evaluate import Scope, read_scope
from shared.protocol.graded import grades_from_metrics, grades_to_values
from shared.protocol.histogram import histograms_from_metrics, histograms_to_values
from shared.protocol.records import (
    PROTOCOL_VERSION,
    metrics_in,
    name,
    names,
    settings_in,
    text,
    texts,
    whole,
)

MESSAGE_TYPE = "evaluate.compare"
COUNT_TYPE = "evaluate.count"
_REQUEST, _POOLED, _REPORT = "compare", "pooled", "report"
_FIELDS = ("patients", "a", "b", "aa", "bb", "ab")
MOST_REPEATS = 1000
_INTEGER = re.compile(r"\d{1,200}")


@dataclass(frozen=True)
class CompareRequest:
    """Which runs' scores are compared, or one side with the clinical grade.

    `runs_a` and `runs_b` have an entry a repeat, in which there is a run a fold; `pooled_a` and
    `pooled_b` have the patients by score of each repeat.
    """

    run: str
    """Any of them; it names what the message belongs to."""
    scope: Scope
    runs_a: tuple[tuple[str, ...], ...]
    runs_b: tuple[tuple[str, ...], ...]
    """Empty where B is the grade."""
    pooled_a: tuple[Histogram, ...]
    """All sites' patients by score, those compared and no others."""
    pooled_b: tuple[Histogram, ...] | GradeCounts

    @property
    def repeats(self) -> int:
        """How often the patients were scored."""
        return len(self.runs_a)

    def to_content(self) -> RecordDict:
        """Flower's records of this request."""
        record = ConfigRecord(
            {
                "protocol": PROTOCOL_VERSION,
                "run": self.run,
                "scope": self.scope,
                "repeats": self.repeats,
                "runs-a": [run for runs in self.runs_a for run in runs],
                "runs-b": [run for runs in self.runs_b for run in runs],
            }
        )
        values: dict[str, list[int] | list[float]] = dict(histograms_to_values(self.pooled_a, "a-"))
        if isinstance(self.pooled_b, GradeCounts):
            values |= grades_to_values(self.pooled_b)
        else:
            values |= histograms_to_values(self.pooled_b, "b-")
        return RecordDict({_REQUEST: record, _POOLED: MetricRecord(dict(values))})

    @classmethod
    def from_content(cls, content: RecordDict) -> CompareRequest:
        """Read a request; ProtocolError where it breaks the contract."""
        record, pooled = settings_in(content, _REQUEST), metrics_in(content, _POOLED)
        repeats = read_repeats(record)
        runs_b = runs_by_repeat(names(record, "runs-b"), repeats)
        grades = None if runs_b else grades_from_metrics(pooled)
        if not runs_b and grades is None:
            raise ProtocolError("the message compares with neither runs nor a grade")
        return cls(
            run=name(record, "run"),
            scope=read_scope(text(record, "scope")),
            runs_a=runs_by_repeat(names(record, "runs-a"), repeats),
            runs_b=runs_b,
            pooled_a=histograms_from_metrics(pooled, repeats, "a-"),
            pooled_b=grades or histograms_from_metrics(pooled, repeats, "b-"),
        )


@dataclass(frozen=True)
class CountRequest:
    """Whose scores are counted: those that a site has kept of these runs, one run a fold."""

    run: str
    scope: Scope
    runs: tuple[str, ...]

    def to_content(self) -> RecordDict:
        """Flower's records of this request."""
        record = ConfigRecord(
            {
                "protocol": PROTOCOL_VERSION,
                "run": self.run,
                "scope": self.scope,
                "runs": list(self.runs),
            }
        )
        return RecordDict({_REQUEST: record})

    @classmethod
    def from_content(cls, content: RecordDict) -> CountRequest:
        """Read a request; ProtocolError where it breaks the contract."""
        record = settings_in(content, _REQUEST)
        return cls(
            run=name(record, "run"),
            scope=read_scope(text(record, "scope")),
            runs=names(record, "runs"),
        )


@dataclass(frozen=True)
class CompareReply:
    """Sums over a site's patients; integers that may exceed 64 bits, so they travel as digits."""

    site: str
    sums: PairedSums

    def to_content(self) -> RecordDict:
        """Flower's records of this reply."""
        values: dict[str, int | str | list[str]] = {
            "protocol": PROTOCOL_VERSION,
            "site": self.site,
            **dict(zip(BINARY.keys, map(digits, self.sums.by_class), strict=True)),
            "pooled": [str(patients) for patients in self.sums.pooled],
            "repeats": self.sums.repeats,
        }
        return RecordDict({_REPORT: ConfigRecord(dict(values))})

    @classmethod
    def from_content(cls, content: RecordDict) -> CompareReply:
        """Read a reply; ProtocolError where it breaks the contract."""
        report = settings_in(content, _REPORT)
        by_class = [ClassSums(*_integers(report, key, len(_FIELDS))) for key in BINARY.keys]
        pooled = _integers(report, "pooled", len(BINARY.keys))
        sums = PairedSums.of_classes(by_class, pooled, read_repeats(report))
        try:
            require_possible(sums)
        except ValueError as error:
            raise ProtocolError(f"no patients can have these sums: {error}") from error
        return cls(name(report, "site"), sums)


def read_repeats(record: ConfigRecord) -> int:
    """How often patients were scored; ProtocolError for a number that nobody can mean."""
    repeats = whole(record, "repeats", minimum=1)
    if repeats > MOST_REPEATS:
        raise ProtocolError(f"'repeats' is {repeats}; at most {MOST_REPEATS} are compared")
    return repeats


def runs_by_repeat(runs: tuple[str, ...], repeats: int) -> tuple[tuple[str, ...], ...]:
    """The runs of each repeat, equally many; ProtocolError where they cannot be divided so."""
    folds, left = divmod(len(runs), repeats)
    if left:
        raise ProtocolError(f"{len(runs)} runs cannot be divided equally among {repeats} repeats")
    return tuple(runs[n * folds : (n + 1) * folds] for n in range(repeats)) if folds else ()


def digits(sums: ClassSums) -> list[str]:
    """The values as they are sent."""
    return [str(getattr(sums, field)) for field in _FIELDS]


def _integers(record: ConfigRecord, key: str, length: int) -> list[int]:
    values = texts(record, key)
    if len(values) != length or not all(map(_INTEGER.fullmatch, values)):
        raise ProtocolError(f"'{key}' is not a list of {length} integers")
    return [int(value) for value in values]
