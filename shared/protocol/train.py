"""One round at one site: evaluate the model received, train it, send back what changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from shared.errors import ProtocolError
from shared.metrics.classes.kinds import Counts
from shared.model.backbone import Backbone
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome
from shared.protocol.counts import counts_from_metrics, counts_to_values
from shared.protocol.plan import plan_from_record, plan_to_values
from shared.protocol.records import (
    MOST_BYTES,
    PROTOCOL_VERSION,
    arrays_in,
    flag,
    metrics_in,
    name,
    names,
    real,
    reals,
    settings_in,
    text,
    texts,
    whole,
)
from shared.protocol.sent_model import SentModel
from shared.settings.schedule import Plan
from shared.wire.packing import pack

MESSAGE_TYPE = "train"
_REQUEST, _DELTA, _REPORT, _METRICS = "plan", "delta", "report", "metrics"
_UNITS, _NOISE = "units", "signal-to-noise"

MOST_SIGNAL_TO_NOISE = 1000.0
"""No moments of Adam give as much: with beta 1 from 0.85 to 0.95 they give less than 100."""


@dataclass(frozen=True)
class TrainRequest:
    """Plan, base and model."""

    run: str
    base: str
    plan: Plan
    expects: tuple[str, ...]
    """Manifest lines of the reply's tensors."""
    model: SentModel

    def to_content(self) -> RecordDict:
        """Flower's records of this request."""
        record = ConfigRecord({"protocol": PROTOCOL_VERSION, "run": self.run, "base": self.base})
        record["expects"] = list(self.expects)
        for key, value in plan_to_values(self.plan).items():
            record[key] = value
        return self.model.add_to(RecordDict({_REQUEST: record}))

    @classmethod
    def from_content(cls, content: RecordDict, backbone: Backbone) -> TrainRequest:
        """Read a request for this backbone; ProtocolError where it breaks the contract."""
        record = settings_in(content, _REQUEST)
        plan, model = plan_from_record(record, backbone), SentModel.from_content(content, backbone)
        if (model.number, model.thawed) != (plan.round, plan.thawed):
            raise ProtocolError("the model is not that of the plan")
        return cls(
            run=name(record, "run"),
            base=text(record, "base"),
            plan=plan,
            expects=tuple(texts(record, "expects")),
            model=model,
        )


@dataclass(frozen=True)
class TrainReply:
    """What a site sends back; everything besides the delta is counts, sums and durations."""

    site: str
    round: int
    frozen: str
    """Digest of all units that did not train."""
    delta: ArrayRecord
    """Weights after training minus weights received, for the units that trained."""
    images: int
    """Training images, the weight of this site in the average."""
    patients: int
    steps: int
    loss: float
    histogram: Counts
    """Validation patients by score, of the model received; of several classes one for each."""
    suppress: bool
    """The site's own values must not be shown or kept: a class is smaller than its min-cell."""
    train_seconds: float
    """Training, and writing what the site remembers of it."""
    evaluate_seconds: float
    peak_memory: int
    continued_from: int
    """Round whose optimiser state this one went on from; 0 where it began afresh."""
    signal_to_noise: Mapping[str, float] = field(default_factory=dict)
    """How far the gradients of each unit that trained agreed from step to step (of the gradients'
    mean and mean square, as Adam keeps them); empty where the run does not ask for it."""

    def to_content(self) -> RecordDict:
        """Flower's records of this reply."""
        report = ConfigRecord(
            {
                "protocol": PROTOCOL_VERSION,
                "site": self.site,
                "round": self.round,
                "frozen": self.frozen,
                "suppress": self.suppress,
            }
        )
        values: dict[str, int | float | list[int]] = {
            "images": self.images,
            "patients": self.patients,
            "steps": self.steps,
            "loss": self.loss,
            "train-seconds": self.train_seconds,
            "evaluate-seconds": self.evaluate_seconds,
            "peak-memory": self.peak_memory,
            "continued-from": self.continued_from,
        }
        metrics = MetricRecord({**values, **counts_to_values(self.histogram)})
        if self.signal_to_noise:
            report[_UNITS] = list(self.signal_to_noise)
            metrics[_NOISE] = list(self.signal_to_noise.values())
        return RecordDict({_REPORT: report, _METRICS: metrics, _DELTA: pack(self.delta)})

    @classmethod
    def from_content(cls, content: RecordDict, outcome: Outcome = BINARY) -> TrainReply:
        """Read a reply of a run with this outcome; ProtocolError where it breaks the contract.

        Its tensors are not decoded.
        """
        report, metrics = settings_in(content, _REPORT), metrics_in(content, _METRICS)
        return cls(
            site=name(report, "site"),
            round=whole(report, "round", minimum=1),
            frozen=text(report, "frozen"),
            delta=arrays_in(content, _DELTA),
            images=whole(metrics, "images", minimum=1),
            patients=whole(metrics, "patients", minimum=1),
            steps=whole(metrics, "steps", minimum=1),
            loss=real(metrics, "loss"),
            histogram=counts_from_metrics(metrics, outcome),
            suppress=flag(report, "suppress"),
            train_seconds=real(metrics, "train-seconds"),
            evaluate_seconds=real(metrics, "evaluate-seconds"),
            peak_memory=whole(metrics, "peak-memory", maximum=MOST_BYTES),
            continued_from=whole(metrics, "continued-from"),
            signal_to_noise=_signal_to_noise(report, metrics),
        )


def _signal_to_noise(report: ConfigRecord, metrics: MetricRecord) -> dict[str, float]:
    """By unit; a reply need not have any."""
    if _UNITS not in report and _NOISE not in metrics:
        return {}
    units, values = names(report, _UNITS), reals(metrics, _NOISE)
    if not len(set(units)) == len(units) == len(values):
        raise ProtocolError(f"'{_NOISE}' has not one number for each of its '{_UNITS}'")
    if max(values, default=0.0) > MOST_SIGNAL_TO_NOISE:
        raise ProtocolError(f"'{_NOISE}' holds a number above {MOST_SIGNAL_TO_NOISE:g}")
    return dict(zip(units, values, strict=True))
