"""Two scorings of the same patients compared by a mean of AUROCs: of several classes or labels.

A message of the same type as that of a finding (`shared/protocol/compare.py`), with a histogram for
each score, and one row of sums in place of one a class.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields

from flwr.app import ConfigRecord, MetricRecord, RecordDict

from shared.errors import ProtocolError
from shared.metrics.classes.paired import ContrastSums, require_possible_sums
from shared.metrics.histogram import Histogram
from shared.metrics.paired import ClassSums
from shared.outcome.outcome import Outcome
from shared.protocol.compare import digits, read_repeats, runs_by_repeat
from shared.protocol.evaluate import Scope, read_scope
from shared.protocol.histogram import histograms_from_metrics, histograms_to_values
from shared.protocol.records import (
    PROTOCOL_VERSION,
    counts,
    metrics_in,
    name,
    names,
    settings_in,
    text,
    texts,
)

_REQUEST, _POOLED, _REPORT = "compare", "pooled", "report"
_FIELDS = tuple(item.name for item in fields(ClassSums))
_PATIENTS, _SIGNED = re.compile(r"\d{1,9}"), re.compile(r"-?\d{1,200}")
Contrasts = tuple[Histogram, ...]
"""All sites' patients by each score: each class against the rest, each cut, or each label."""


@dataclass(frozen=True)
class ContrastRequest:
    """Which runs' scores are compared; an entry a repeat, in which there is a run a fold."""

    run: str
    """Any of them; it names what the message belongs to."""
    scope: Scope
    runs_a: tuple[tuple[str, ...], ...]
    runs_b: tuple[tuple[str, ...], ...]
    kept: tuple[int, ...]
    """The classes or labels that are compared, by their place; others' patients are left out."""
    pooled_a: tuple[Contrasts, ...]
    pooled_b: tuple[Contrasts, ...]

    @property
    def repeats(self) -> int:
        """How often the patients were scored."""
        return len(self.runs_a)

    def to_content(self, outcome: Outcome) -> RecordDict:
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
        values = {
            **histograms_to_values([one for own in self.pooled_a for one in own], "a-"),
            **histograms_to_values([one for own in self.pooled_b for one in own], "b-"),
            "kept": [int(n in self.kept) for n in range(len(outcome.names))],
        }
        return RecordDict({_REQUEST: record, _POOLED: MetricRecord(dict(values))})

    @classmethod
    def from_content(cls, content: RecordDict, outcome: Outcome) -> ContrastRequest:
        """Read a request of runs with this outcome; ProtocolError where it breaks the contract."""
        record, pooled = settings_in(content, _REQUEST), metrics_in(content, _POOLED)
        repeats = read_repeats(record)
        kept = counts(pooled, "kept", len(outcome.names), 1)
        found = {
            key: histograms_from_metrics(pooled, repeats * outcome.outputs, f"{key}-")
            for key in ("a", "b")
        }
        request = cls(
            run=name(record, "run"),
            scope=read_scope(text(record, "scope")),
            runs_a=runs_by_repeat(names(record, "runs-a"), repeats),
            runs_b=runs_by_repeat(names(record, "runs-b"), repeats),
            kept=tuple(n for n, own in enumerate(kept) if own),
            pooled_a=_by_repeat(found["a"], outcome.outputs),
            pooled_b=_by_repeat(found["b"], outcome.outputs),
        )
        if not request.runs_a or not request.runs_b:
            raise ProtocolError("the message names no runs to compare")
        return request


@dataclass(frozen=True)
class ContrastReply:
    """Sums over a site's patients; integers that may exceed 64 bits, so they travel as digits."""

    site: str
    sums: ContrastSums

    def to_content(self) -> RecordDict:
        """Flower's records of this reply."""
        values: dict[str, int | str | list[str]] = {
            "protocol": PROTOCOL_VERSION,
            "site": self.site,
            "sums": digits(self.sums.patients),
            "repeats": self.sums.repeats,
        }
        return RecordDict({_REPORT: ConfigRecord(dict(values))})

    @classmethod
    def from_content(cls, content: RecordDict) -> ContrastReply:
        """Read a reply; ProtocolError where it breaks the contract."""
        report = settings_in(content, _REPORT)
        sums = ContrastSums(_sums(texts(report, "sums")), read_repeats(report))
        try:
            require_possible_sums(sums)
        except ValueError as error:
            raise ProtocolError(f"no patients can have these sums: {error}") from error
        return cls(name(report, "site"), sums)


def _by_repeat(histograms: Sequence[Histogram], scores: int) -> tuple[Contrasts, ...]:
    starts = range(0, len(histograms), scores)
    return tuple(tuple(histograms[start : start + scores]) for start in starts)


def _sums(values: Sequence[str]) -> ClassSums:
    patients, *others = values or ("",)
    if (
        len(values) != len(_FIELDS)
        or not _PATIENTS.fullmatch(patients)
        or not all(map(_SIGNED.fullmatch, others))
    ):
        raise ProtocolError(f"'sums' is not a list of {len(_FIELDS)} integers")
    return ClassSums(*map(int, values))
