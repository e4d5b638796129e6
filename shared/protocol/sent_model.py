"""The federation's model in a message: what has changed since what the site received last."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flwr.app import ArrayRecord, ConfigRecord, RecordDict

from shared.errors import ProtocolError
from shared.model.backbone import Backbone, Part
from shared.protocol.plan import read_parts
from shared.protocol.records import (
    PROTOCOL_VERSION,
    arrays_in,
    name,
    settings_in,
    texts,
    whole,
)
from shared.wire.packing import pack

_RECORD, _DELTA, _LACKING = "model", "delta", "lacking"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class SentModel:
    """Weights minus base of all units that may differ from it, as far as the site has them not.

    A site adds it to the model of the newest message before this one that it answered.
    """

    number: int
    """Of the message that brings a model; that of round n brings the n-th."""
    thawed: tuple[Part, ...]
    """Units that may differ from the base."""
    digests: tuple[str, ...]
    """What each of them must hash to at the site, in network order (`delta_digests`)."""
    changed: tuple[Part, ...]
    """Units that are sent as the difference to the message before (`encode_increments`)."""
    whole: tuple[Part, ...]
    """Units that are sent as they are, in float32."""
    delta: ArrayRecord
    seen: int = 0
    """Number of the newest message before this one to which this site's answer counted; 0: none.
    An update that did not count has not paid what the site owed (`shared/update`)."""

    def add_to(self, content: RecordDict) -> RecordDict:
        """The content with the records of this model."""
        content[_RECORD] = ConfigRecord(
            {
                "protocol": PROTOCOL_VERSION,
                "number": self.number,
                "thawed": list(self.thawed),
                "digests": list(self.digests),
                "changed": list(self.changed),
                "whole": list(self.whole),
                "seen": self.seen,
            }
        )
        content[_DELTA] = pack(self.delta)
        return content

    @classmethod
    def from_content(cls, content: RecordDict, backbone: Backbone) -> SentModel:
        """Read it for this backbone; ProtocolError where it breaks the contract."""
        record = settings_in(content, _RECORD)
        thawed = read_parts(record, "thawed", backbone)
        changed, entire = (read_parts(record, key, backbone) for key in ("changed", "whole"))
        digests = texts(record, "digests")
        units = backbone.units_of(thawed)
        if len(digests) != len(units) or not all(map(_DIGEST.fullmatch, digests)):
            raise ProtocolError("the model has not one digest for each unit that may have changed")
        sent = [*backbone.units_of(changed), *backbone.units_of(entire)]
        if len(set(sent)) != len(sent) or not units.issuperset(sent):
            raise ProtocolError("the model has units that are sent twice or that cannot change")
        return cls(
            number=whole(record, "number", minimum=1),
            thawed=thawed,
            digests=tuple(digests),
            changed=changed,
            whole=entire,
            delta=arrays_in(content, _DELTA),
            seen=whole(record, "seen"),
        )


NOTHING_SENT = SentModel(1, (), (), (), (), ArrayRecord())
"""The base as it is."""


@dataclass(frozen=True)
class LackingReply:
    """A site cannot make the model of a message, since it has not what that builds upon.

    It never took part, missed a round, or has lost what it remembered. It is to be asked again,
    with these units as they are.
    """

    site: str
    units: tuple[Part, ...]

    def to_content(self) -> RecordDict:
        """Flower's records of this reply."""
        record = ConfigRecord({"protocol": PROTOCOL_VERSION, "site": self.site})
        record["units"] = list(self.units)
        return RecordDict({_LACKING: record})

    @staticmethod
    def is_in(content: RecordDict) -> bool:
        """Whether this is such a reply, rather than what was asked for."""
        return _LACKING in content

    @classmethod
    def from_content(cls, content: RecordDict, backbone: Backbone) -> LackingReply:
        """Read a reply for this backbone; ProtocolError where it breaks the contract."""
        record = settings_in(content, _LACKING)
        return cls(name(record, "site"), read_parts(record, "units", backbone))
