"""Evaluation alone: the final model at the sites, or a finished model on another cohort."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from shared.errors import ProtocolError
from shared.metrics.classes.kinds import Counts
from shared.model.backbone import Backbone, Part
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome
from shared.protocol.counts import counts_from_metrics, counts_to_values
from shared.protocol.graded import Graded, graded_from_metrics, graded_to_values
from shared.protocol.plan import read_parts
from shared.protocol.records import (
    PROTOCOL_VERSION,
    arrays_in,
    flag,
    metrics_in,
    name,
    real,
    settings_in,
    text,
    whole,
)
from shared.wire.packing import pack

MESSAGE_TYPE = "evaluate"
_REQUEST, _DELTA, _REPORT, _METRICS = "evaluate", "delta", "report", "metrics"

Scope = Literal["validation", "test", "all"]
"""Whose patients: held out for validation, held out in the run's test fold, or all of the site."""


@dataclass(frozen=True)
class EvaluateRequest:
    """Base, what has changed since, and whose patients: validation ones, or all of the site."""

    run: str
    base: str
    scope: Scope
    after_round: int
    thawed: tuple[Part, ...]
    final: bool
    """The run has no further rounds: what a site kept to train on may go."""
    delta: ArrayRecord

    def to_content(self) -> RecordDict:
        """Flower's records of this request."""
        record = ConfigRecord(
            {
                "protocol": PROTOCOL_VERSION,
                "run": self.run,
                "base": self.base,
                "scope": self.scope,
                "after-round": self.after_round,
                "thawed": list(self.thawed),
                "final": self.final,
            }
        )
        return RecordDict({_REQUEST: record, _DELTA: pack(self.delta)})

    @classmethod
    def from_content(cls, content: RecordDict, backbone: Backbone) -> EvaluateRequest:
        """Read a request for this backbone; ProtocolError where it breaks the contract."""
        record = settings_in(content, _REQUEST)
        return cls(
            run=name(record, "run"),
            base=text(record, "base"),
            scope=read_scope(text(record, "scope")),
            after_round=whole(record, "after-round"),
            thawed=read_parts(record, "thawed", backbone),
            final=flag(record, "final"),
            delta=arrays_in(content, _DELTA),
        )


@dataclass(frozen=True)
class EvaluateReply:
    """Patients by score, as counts."""

    site: str
    histogram: Counts
    suppress: bool
    seconds: float
    graded: Graded | None = None
    """Where the site has a clinical grade: the patients who have one."""

    def to_content(self) -> RecordDict:
        """Flower's records of this reply."""
        report = ConfigRecord(
            {"protocol": PROTOCOL_VERSION, "site": self.site, "suppress": self.suppress}
        )
        seconds: dict[str, float | list[int] | list[float]] = {"seconds": self.seconds}
        grades = graded_to_values(self.graded) if self.graded else {}
        metrics = MetricRecord({**seconds, **counts_to_values(self.histogram), **grades})
        return RecordDict({_REPORT: report, _METRICS: metrics})

    @classmethod
    def from_content(cls, content: RecordDict, outcome: Outcome = BINARY) -> EvaluateReply:
        """Read a reply of a run with this outcome; ProtocolError where it breaks the contract."""
        report, metrics = settings_in(content, _REPORT), metrics_in(content, _METRICS)
        return cls(
            site=name(report, "site"),
            histogram=counts_from_metrics(metrics, outcome),
            suppress=flag(report, "suppress"),
            seconds=real(metrics, "seconds"),
            graded=graded_from_metrics(metrics),
        )


def read_scope(value: str) -> Scope:
    """The scope of that name; ProtocolError for another."""
    if value in ("validation", "test", "all"):
        return cast(Scope, value)
    raise ProtocolError(f"the scope is '{value}', neither validation, test nor all")
