"""Each site is sent what it has not, and what that takes is counted."""

from __future__ import annotations

import numpy as np
import pytest
from flwr.app import RecordDict

from server.federation.delivery import Delivery
from server.federation.downlink import Downlink
from server.federation.global_model import Reference
from shared.errors import ProtocolError
from shared.model.resnet import MICRO
from shared.protocol.describe import SiteDescription
from shared.protocol.sent_model import LackingReply, SentModel
from shared.settings.config import RunConfig
from shared.wire.size import serialized_size

CONFIG = RunConfig(backbone="micro", update_dtype="int8")
THAWED = ("layer4", "head")


@pytest.fixture
def delivery(reference: Reference) -> Delivery:
    """The third message: layer4 changed in the second, the head in each."""
    rng, downlink = np.random.default_rng(0), Downlink()
    delta = {s.name: rng.random(s.shape, np.float32) for s in reference.specs(THAWED)}
    for number, trained in enumerate(({"layer4", "head"}, {"head"}), start=1):
        sending = downlink.sending(reference, CONFIG, THAWED, delta)
        downlink.sent(sending, CONFIG, ["north", "east"][: 3 - number], trained)
        delta = {name: value + 1 for name, value in delta.items()}
    sites = {n: SiteDescription(name, "b", 1, 1) for n, name in enumerate(("north", "east", "new"))}
    sending = downlink.sending(reference, CONFIG, THAWED, delta)
    return Delivery(sites, sending, downlink.seen, lambda model: model.add_to(RecordDict()))


def test_each_site_is_sent_what_it_has_not(delivery: Delivery) -> None:
    contents = delivery.contents()
    models = [SentModel.from_content(contents[node], MICRO) for node in range(3)]
    assert [(m.changed, m.whole) for m in models] == [
        (("head",), ()),
        ((), THAWED),
        ((), THAWED),
    ]
    assert len({model.digests for model in models}) == 1
    assert delivery.bytes_down == sum(map(serialized_size, contents.values()))


def test_what_a_site_lacks_is_sent_once(delivery: Delivery) -> None:
    contents = delivery.contents()
    before = delivery.bytes_down
    lacking = LackingReply("north", ("layer4",)).to_content()
    again = delivery.further(0, lacking)
    assert again is not None
    model = SentModel.from_content(again, MICRO)
    assert (model.changed, model.whole) == (("head",), ("layer4",))
    assert model.digests == SentModel.from_content(contents[0], MICRO).digests
    assert delivery.bytes_down == before + serialized_size(again)
    assert delivery.bytes_up == serialized_size(lacking)
    with pytest.raises(ProtocolError, match="cannot make the model"):
        delivery.further(0, lacking)
    assert delivery.further(1, RecordDict()) is None


@pytest.mark.parametrize("units", [("layer9",), ("head", "layer4")])
def test_an_answer_that_is_none(delivery: Delivery, units: tuple[str, ...]) -> None:
    with pytest.raises(ProtocolError):
        delivery.further(0, LackingReply("north", units).to_content())
    with pytest.raises(ProtocolError, match="calls itself 'east'"):
        delivery.further(0, LackingReply("east", ("head",)).to_content())
