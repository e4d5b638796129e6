"""Candidates for a run's final model, on the straight line between two models: counts of each."""

from __future__ import annotations

from dataclasses import dataclass

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from shared.errors import ProtocolError
from shared.metrics.classes.kinds import Counts, patients_by_class
from shared.model.backbone import Backbone, Part
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome
from shared.protocol.counts import counts_from_metrics, counts_to_values
from shared.protocol.plan import read_parts
from shared.protocol.records import (
    PROTOCOL_VERSION,
    arrays_in,
    flag,
    metrics_in,
    name,
    real,
    reals,
    settings_in,
    text,
    whole,
)
from shared.protocol.sent_model import SentModel
from shared.wire.packing import pack

MESSAGE_TYPE = "evaluate.candidates"
_REQUEST, _START, _REPORT, _METRICS = "candidates", "start", "report", "metrics"


@dataclass(frozen=True)
class CandidatesRequest:
    """Two models, and which points between them to evaluate."""

    run: str
    base: str
    after_round: int
    probed: tuple[Part, ...]
    """What `start` may change."""
    shares: tuple[float, ...]
    """Of the way from `start` to `model`, ascending from 0 to 1."""
    start: ArrayRecord
    """One model, as what has changed since the base."""
    model: SentModel
    """The other."""

    def to_content(self) -> RecordDict:
        """Flower's records of this request."""
        record = ConfigRecord(
            {
                "protocol": PROTOCOL_VERSION,
                "run": self.run,
                "base": self.base,
                "after-round": self.after_round,
                "probed": list(self.probed),
                "shares": list(self.shares),
            }
        )
        return self.model.add_to(RecordDict({_REQUEST: record, _START: pack(self.start)}))

    @classmethod
    def from_content(cls, content: RecordDict, backbone: Backbone) -> CandidatesRequest:
        """Read a request for this backbone; ProtocolError where it breaks the contract."""
        record = settings_in(content, _REQUEST)
        shares = tuple(reals(record, "shares"))
        if len(shares) < 2 or shares[0] != 0 or shares[-1] != 1 or list(shares) != sorted(shares):
            raise ProtocolError("'shares' do not ascend from 0 to 1")
        return cls(
            run=name(record, "run"),
            base=text(record, "base"),
            after_round=whole(record, "after-round", minimum=1),
            probed=read_parts(record, "probed", backbone),
            shares=shares,
            start=arrays_in(content, _START),
            model=SentModel.from_content(content, backbone),
        )


@dataclass(frozen=True)
class CandidatesReply:
    """Validation patients by score under each candidate, in the order of the request's shares."""

    site: str
    counts: tuple[Counts, ...]
    suppress: bool
    seconds: float

    def to_content(self) -> RecordDict:
        """Flower's records of this reply."""
        report = ConfigRecord(
            {"protocol": PROTOCOL_VERSION, "site": self.site, "suppress": self.suppress}
        )
        values: dict[str, int | float | list[int] | list[float]] = {"seconds": self.seconds}
        for number, counts in enumerate(self.counts):
            values |= counts_to_values(counts, _prefix(number))
        metrics = MetricRecord(values)
        return RecordDict({_REPORT: report, _METRICS: metrics})

    @classmethod
    def from_content(
        cls, content: RecordDict, number: int, outcome: Outcome = BINARY
    ) -> CandidatesReply:
        """Read a reply of so many candidates; ProtocolError where it breaks the contract.

        The same patients are counted under each, so each must have as many of each class.
        """
        report, metrics = settings_in(content, _REPORT), metrics_in(content, _METRICS)
        if any(name.startswith(_prefix(number)) for name in metrics):
            raise ProtocolError(f"it holds counts of more than {number} candidates")
        found = tuple(counts_from_metrics(metrics, outcome, _prefix(n)) for n in range(number))
        if len({patients_by_class(one) for one in found}) > 1:
            raise ProtocolError("its candidates are not counted on the same patients")
        return cls(
            site=name(report, "site"),
            counts=found,
            suppress=flag(report, "suppress"),
            seconds=real(metrics, "seconds"),
        )


def _prefix(number: int) -> str:
    """Before the names of one candidate's counts."""
    return f"{number}-"
