"""Who are you: the first exchange with a site, before any round."""

from __future__ import annotations

from dataclasses import dataclass

from flwr.app import ConfigRecord, RecordDict

from shared.outcome.binary import BINARY
from shared.outcome.registry import LONGEST_OUTCOME
from shared.protocol.records import PROTOCOL_VERSION, name, settings_in, text, whole

MESSAGE_TYPE = "query"
_REQUEST, _REPLY = "describe", "site"


@dataclass(frozen=True)
class DescribeRequest:
    """The coordinator introduces its run."""

    run: str

    def to_content(self) -> RecordDict:
        """Flower's records of this request."""
        return RecordDict({_REQUEST: ConfigRecord({"protocol": PROTOCOL_VERSION, "run": self.run})})

    @classmethod
    def from_content(cls, content: RecordDict) -> DescribeRequest:
        """Read a request; ProtocolError where it breaks the contract."""
        return cls(run=name(settings_in(content, _REQUEST), "run"))


@dataclass(frozen=True)
class SiteDescription:
    """What a site reports of itself: its name, its base and how much it trains on."""

    name: str
    base: str
    images: int
    patients: int
    data: str = ""
    """A digest of all its admitted images and outcomes, so that a change of them is noticed."""
    outcome: str = BINARY.kind
    """What its table says of a patient, as the setting `outcome` has it."""

    def to_content(self) -> RecordDict:
        """Flower's records of this reply."""
        return RecordDict(
            {
                _REPLY: ConfigRecord(
                    {
                        "protocol": PROTOCOL_VERSION,
                        "name": self.name,
                        "base": self.base,
                        "images": self.images,
                        "patients": self.patients,
                        "data": self.data,
                        "outcome": self.outcome,
                    }
                )
            }
        )

    @classmethod
    def from_content(cls, content: RecordDict) -> SiteDescription:
        """Read a reply; ProtocolError where it breaks the contract."""
        record = settings_in(content, _REPLY)
        return cls(
            name=name(record, "name"),
            base=text(record, "base"),
            images=whole(record, "images", minimum=1),
            patients=whole(record, "patients", minimum=1),
            data=text(record, "data"),
            outcome=text(record, "outcome", LONGEST_OUTCOME),
        )
