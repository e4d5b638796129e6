"""One question with a model to several sites, each sent of the model what it has not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flwr.app import RecordDict

from server.federation.downlink import Sending
from server.federation.replies import require_name
from shared.errors import ProtocolError
from shared.protocol.describe import SiteDescription
from shared.protocol.sent_model import LackingReply, SentModel
from shared.wire.size import serialized_size


@dataclass
class Delivery:
    """What is sent to each site, and what that takes."""

    sites: Mapping[int, SiteDescription]
    sending: Sending
    seen: Mapping[str, int]
    """Site -> number of the last message to which its answer counted."""
    question: Callable[[SentModel], RecordDict]
    """The content of a message with this model."""
    bytes_down: int = 0
    bytes_up: int = 0
    """Of answers that a site cannot make the model; all others are counted where they are read."""
    _lacking: set[int] = field(default_factory=set)

    def contents(self) -> dict[int, RecordDict]:
        """By node. Sites that have the same are sent the same."""
        by_seen: dict[int, RecordDict] = {}
        contents = {}
        for node, site in self.sites.items():
            seen = self.seen.get(site.name, 0)
            if seen not in by_seen:
                by_seen[seen] = self.question(self.sending.model(seen))
            contents[node] = self._counted(by_seen[seen])
        return contents

    def further(self, node: int, content: RecordDict) -> RecordDict | None:
        """The same question with what this site says that it lacks; None where it has answered.

        ProtocolError where it still lacks something, or is another site.
        """
        if not LackingReply.is_in(content):
            return None
        backbone = self.sending.reference.network.backbone
        reply = LackingReply.from_content(content, backbone)
        site = self.sites[node]
        require_name(reply.site, site.name)
        if node in self._lacking:
            raise ProtocolError("it cannot make the model of what it was sent")
        self._lacking.add(node)
        self.bytes_up += serialized_size(content)
        model = self.sending.model(self.seen.get(site.name, 0), reply.units)
        return self._counted(self.question(model))

    def _counted(self, content: RecordDict) -> RecordDict:
        self.bytes_down += serialized_size(content)
        return content
