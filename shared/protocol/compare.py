"""Two scorings of the same patients compared: pooled counts go out, sums come back."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flwr.app import ConfigRecord, MetricRecord, RecordDict

from shared.errors import ProtocolError
from shared.metrics.grades import GradeCounts
from shared.metrics.histogram import Histogram
from shared.metrics.paired import ClassSums, PairedSums
from shared.protocol.evaluate import Scope, read_scope
from shared.protocol.graded import grades_from_metrics, grades_to_values
from shared.protocol.histogram import histogram_from_metrics, histogram_to_values
from shared.protocol.records import (
    PROTOCOL_VERSION,
    metrics_in,
    name,
    names,
    settings_in,
    text,
    texts,
)

MESSAGE_TYPE = "evaluate.compare"
COUNT_TYPE = "evaluate.count"
_REQUEST, _POOLED, _REPORT = "compare", "pooled", "report"
_FIELDS = ("patients", "a", "b", "aa", "bb", "ab")
_INTEGER = re.compile(r"\d{1,200}")


@dataclass(frozen=True)
class CompareRequest:
    """Which runs' scores are compared (one run a fold), or one side with the clinical grade."""

    run: str
    """Any of them; it names what the message belongs to."""
    scope: Scope
    runs_a: tuple[str, ...]
    runs_b: tuple[str, ...]
    """Empty where B is the grade."""
    pooled_a: Histogram
    """All sites' patients by score, those compared and no others."""
    pooled_b: Histogram | GradeCounts

    def to_content(self) -> RecordDict:
        """Flower's records of this request."""
        record = ConfigRecord(
            {
                "protocol": PROTOCOL_VERSION,
                "run": self.run,
                "scope": self.scope,
                "runs-a": list(self.runs_a),
                "runs-b": list(self.runs_b),
            }
        )
        values: dict[str, list[int] | list[float]] = dict(histogram_to_values(self.pooled_a, "a-"))
        if isinstance(self.pooled_b, Histogram):
            values |= histogram_to_values(self.pooled_b, "b-")
        else:
            values |= grades_to_values(self.pooled_b)
        return RecordDict({_REQUEST: record, _POOLED: MetricRecord(dict(values))})

    @classmethod
    def from_content(cls, content: RecordDict) -> CompareRequest:
        """Read a request; ProtocolError where it breaks the contract."""
        record, pooled = settings_in(content, _REQUEST), metrics_in(content, _POOLED)
        runs_b = names(record, "runs-b")
        grades = None if runs_b else grades_from_metrics(pooled)
        if not runs_b and grades is None:
            raise ProtocolError("the message compares with neither runs nor a grade")
        return cls(
            run=name(record, "run"),
            scope=read_scope(text(record, "scope")),
            runs_a=names(record, "runs-a"),
            runs_b=runs_b,
            pooled_a=histogram_from_metrics(pooled, "a-"),
            pooled_b=grades if grades is not None else histogram_from_metrics(pooled, "b-"),
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
            "positives": _digits(self.sums.positives),
            "negatives": _digits(self.sums.negatives),
            "pooled": [str(self.sums.pooled_positives), str(self.sums.pooled_negatives)],
        }
        return RecordDict({_REPORT: ConfigRecord(dict(values))})

    @classmethod
    def from_content(cls, content: RecordDict) -> CompareReply:
        """Read a reply; ProtocolError where it breaks the contract."""
        report = settings_in(content, _REPORT)
        pooled = _integers(report, "pooled", 2)
        return cls(
            site=name(report, "site"),
            sums=PairedSums(
                ClassSums(*_integers(report, "positives", len(_FIELDS))),
                ClassSums(*_integers(report, "negatives", len(_FIELDS))),
                pooled_positives=pooled[0],
                pooled_negatives=pooled[1],
            ),
        )


def _digits(sums: ClassSums) -> list[str]:
    return [str(getattr(sums, field)) for field in _FIELDS]


def _integers(record: ConfigRecord, key: str, length: int) -> list[int]:
    values = texts(record, key)
    if len(values) != length or not all(map(_INTEGER.fullmatch, values)):
        raise ProtocolError(f"'{key}' is no list of {length} whole numbers")
    return [int(value) for value in values]
