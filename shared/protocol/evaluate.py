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
from shared.protocol.sent_model import SentModel
from shared.wire.packing import pack

MESSAGE_TYPE = "evaluate"
_REQUEST, _REPORT, _METRICS = "evaluate", "report", "metrics"
_NEARER, _START = "nearer", "start"

Scope = Literal["validation", "test", "all"]
"""Whose patients: held out for validation, held out in the run's test fold, or all of the site."""


@dataclass(frozen=True)
class Nearer:
    """A point on the straight line from another model to the one that is sent."""

    share: float
    """Of the way to the model that is sent, 0 to 1."""
    probed: tuple[Part, ...]
    """What `start` may change."""
    start: ArrayRecord
    """The other model as what has changed since the base."""

    def add_to(self, content: RecordDict) -> RecordDict:
        """The content with the records of this point."""
        record = ConfigRecord({"protocol": PROTOCOL_VERSION, "share": self.share})
        record["probed"] = list(self.probed)
        content[_NEARER] = record
        content[_START] = pack(self.start)
        return content

    @classmethod
    def in_content(cls, content: RecordDict, backbone: Backbone) -> Nearer | None:
        """Read it where it is there; ProtocolError where it breaks the contract."""
        if _NEARER not in content and _START not in content:
            return None
        record = settings_in(content, _NEARER)
        if (share := real(record, "share")) > 1:
            raise ProtocolError(f"'share' is {share}, above 1")
        return cls(share, read_parts(record, "probed", backbone), arrays_in(content, _START))


@dataclass(frozen=True)
class EvaluateRequest:
    """Base, model, and whose patients: validation ones, or all of the site."""

    run: str
    base: str
    scope: Scope
    after_round: int
    final: bool
    """The run has no further rounds: what a site kept to train on may go."""
    model: SentModel
    nearer: Nearer | None = None
    """What is evaluated where it is not `model` itself."""

    def to_content(self) -> RecordDict:
        """Flower's records of this request."""
        record = ConfigRecord(
            {
                "protocol": PROTOCOL_VERSION,
                "run": self.run,
                "base": self.base,
                "scope": self.scope,
                "after-round": self.after_round,
                "final": self.final,
            }
        )
        content = self.model.add_to(RecordDict({_REQUEST: record}))
        return self.nearer.add_to(content) if self.nearer else content

    @classmethod
    def from_content(cls, content: RecordDict, backbone: Backbone) -> EvaluateRequest:
        """Read a request for this backbone; ProtocolError where it breaks the contract."""
        record = settings_in(content, _REQUEST)
        return cls(
            run=name(record, "run"),
            base=text(record, "base"),
            scope=read_scope(text(record, "scope")),
            after_round=whole(record, "after-round"),
            final=flag(record, "final"),
            model=SentModel.from_content(content, backbone),
            nearer=Nearer.in_content(content, backbone),
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
