"""A round: both messages through the wire, and every way to break them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from flwr.app import RecordDict

from shared.errors import ProtocolError
from shared.metrics.histogram import Histogram
from shared.model.resnet import MICRO
from shared.protocol.sent_model import LackingReply, SentModel
from shared.protocol.train import TrainReply, TrainRequest
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round
from shared.wire.arrays import from_record, manifest_of, to_record

Content = Callable[[RecordDict], RecordDict]
Damages = Callable[[RecordDict], Iterator[tuple[str, RecordDict]]]

DELTA = {
    "layer4.w": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fc.bias": np.ones(1, np.float32),
}
MANIFEST = manifest_of(DELTA)
PLAN = plan_round(RunConfig(backbone="micro"), 14)
MODEL = SentModel(
    number=14,
    thawed=PLAN.thawed,
    digests=("sha256:" + 64 * "a",) * len(MICRO.units_of(PLAN.thawed)),
    changed=("layer4",),
    whole=("head",),
    delta=to_record(DELTA),
)
REQUEST = TrainRequest(
    run="r1",
    base="sha256:ab",
    plan=PLAN,
    expects=tuple(spec.to_line() for spec in MANIFEST),
    model=MODEL,
)
REPLY = TrainReply(
    site="north",
    round=14,
    frozen="sha256:cd",
    delta=to_record(DELTA),
    images=40,
    patients=31,
    steps=5,
    loss=0.693,
    histogram=Histogram.from_logits([-1, 0.5, 2], [0, 0, 1]),
    suppress=False,
    train_seconds=1.5,
    evaluate_seconds=0.5,
    peak_memory=10**9,
    continued_from=13,
    signal_to_noise={"layer4.0": 0.061, "head": 0.4},
)
NAN, INFINITE = float("nan"), float("inf")


def test_the_request_survives_the_wire(on_the_wire: Content) -> None:
    assert TrainRequest.from_content(on_the_wire(REQUEST.to_content()), MICRO) == REQUEST


def test_the_reply_survives_the_wire(on_the_wire: Content) -> None:
    received = TrainReply.from_content(on_the_wire(REPLY.to_content()))
    assert received == REPLY
    delta = from_record(received.delta, MANIFEST)
    for name, array in DELTA.items():
        assert delta[name].tobytes() == array.tobytes()


def test_a_reply_without_a_signal_to_noise_has_none_on_the_wire(on_the_wire: Content) -> None:
    none = dataclasses.replace(REPLY, signal_to_noise={})
    content = on_the_wire(none.to_content())
    assert "units" not in content["report"]
    assert "signal-to-noise" not in content["metrics"]
    assert TrainReply.from_content(content) == none


def test_every_damage_is_refused(on_the_wire: Content, damaged: Damages) -> None:
    tried = []
    for what, content in damaged(REQUEST.to_content()):
        with pytest.raises(ProtocolError):
            pytest.fail(f"{what}: {TrainRequest.from_content(on_the_wire(content), MICRO)}")
        tried.append(what)
    for what, content in damaged(REPLY.to_content()):
        with pytest.raises(ProtocolError):
            pytest.fail(f"{what}: {TrainReply.from_content(on_the_wire(content))}")
        tried.append(what)
    names = {
        key for content in (REQUEST, REPLY) for r in content.to_content().values() for key in r
    }
    for field in names:
        assert any(f"without {field}" in what for what in tried)
    assert {
        "no record plan",
        "no record model",
        "no record delta",
        "no record report",
        "no record metrics",
    } <= {*tried}


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"site": "../../north"}, "'site' is not a plain name"),
        ({"round": 0}, "'round' is missing or not an integer of at least 1"),
        ({"images": 0}, "'images' is missing or not an integer of at least 1"),
        ({"patients": 0}, "'patients' is missing or not an integer of at least 1"),
        ({"steps": 0}, "'steps' is missing or not an integer of at least 1"),
        ({"loss": NAN}, "'loss' is nan; it must be finite and not negative"),
        (
            {"signal_to_noise": {"head": NAN}},
            "'signal-to-noise' holds something that is not a finite",
        ),
        ({"signal_to_noise": {"head": INFINITE}}, "'signal-to-noise' holds something that is no"),
        (
            {"signal_to_noise": {"head": -0.1}},
            "'signal-to-noise' holds something that is not a fin",
        ),
        ({"signal_to_noise": {"head": 1001.0}}, "'signal-to-noise' holds a number above 1000"),
        ({"signal_to_noise": {"../head": 0.1}}, "'units' holds something that is not a plain name"),
    ],
    ids=str,
)
def test_a_reply_out_of_range(changed: dict[str, object], sentence: str) -> None:
    content = dataclasses.replace(REPLY, **changed).to_content()  # type: ignore[arg-type]
    with pytest.raises(ProtocolError, match=sentence):
        TrainReply.from_content(content)


@pytest.mark.parametrize("units", [["head", "head"], ["head"], ["head", "layer4.0", "stem"], []])
def test_units_and_numbers_that_do_not_fit(units: list[str]) -> None:
    content = REPLY.to_content()
    content.config_records["report"]["units"] = units
    with pytest.raises(ProtocolError, match="has not one number for each of its 'units'"):
        TrainReply.from_content(content)


def test_a_request_with_a_name_that_leaves_its_folder() -> None:
    content = dataclasses.replace(REQUEST, run="../../etc").to_content()
    with pytest.raises(ProtocolError, match="'run' is not a plain name"):
        TrainRequest.from_content(content, MICRO)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"digests": MODEL.digests[1:]}, "not one digest for each unit"),
        ({"digests": ("sha256:0",) * len(MODEL.digests)}, "not one digest for each unit"),
        ({"whole": ("layer4",)}, "sent twice or that cannot change"),
        ({"changed": ("stem",)}, "sent twice or that cannot change"),
        ({"number": 13}, "the model is not that of the plan"),
        (
            {"thawed": ("head",), "digests": MODEL.digests[:1], "changed": ()},
            "not that of the plan",
        ),
    ],
)
def test_a_model_that_is_none(changed: dict[str, object], sentence: str) -> None:
    model = dataclasses.replace(MODEL, **changed)  # type: ignore[arg-type]
    content = dataclasses.replace(REQUEST, model=model).to_content()
    with pytest.raises(ProtocolError, match=sentence):
        TrainRequest.from_content(content, MICRO)


def test_what_a_site_lacks_survives_the_wire(on_the_wire: Content, damaged: Damages) -> None:
    reply = LackingReply("north", ("layer3", "head"))
    content = reply.to_content()
    assert LackingReply.is_in(content)
    assert not LackingReply.is_in(REPLY.to_content())
    assert LackingReply.from_content(on_the_wire(content), MICRO) == reply
    for what, broken in damaged(content):
        with pytest.raises(ProtocolError):
            pytest.fail(f"{what}: {LackingReply.from_content(on_the_wire(broken), MICRO)}")


def test_a_million_characters_of_the_other_side_become_one_short_line() -> None:
    """They would stand in the coordinator's ledger and log, or in the site's."""
    forged = "x\n2026-01-01 00:00:00 Approved.\x1b[2J"
    lacking = LackingReply("north", (forged, "A" * 500_000)).to_content()
    plan = dataclasses.replace(REQUEST.plan, trainable=("A" * 500_000,), rates={"A" * 500_000: 0.1})
    asked = dataclasses.replace(REQUEST, plan=plan).to_content()
    for read in (
        lambda: LackingReply.from_content(lacking, MICRO),
        lambda: TrainRequest.from_content(asked, MICRO),
    ):
        with pytest.raises(ProtocolError) as caught:
            read()
        for text in (str(caught.value), caught.value.shareable):
            assert len(text) <= 1000
            assert text.isprintable()
    assert str(ProtocolError(forged)) == r"x\x0a2026-01-01 00:00:00 Approved.\x1b[2J"
