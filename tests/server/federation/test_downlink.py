"""Small messages to and from scripted sites: the coordinator's own weights do not drift."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from flwr.app import Message, RecordDict
from hypothesis import strategies as st

from server.evaluation.final import evaluate_final
from server.evaluation.final_model import FinalModel
from server.federation.context import Federation
from server.federation.downlink import Downlink
from server.federation.global_model import Reference, select
from server.run.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from server.training.rounds import run_round
from shared.errors import ProtocolError
from shared.model.delta_digest import delta_digests
from shared.model.registry import backbone_of
from shared.model.resnet import MICRO
from shared.protocol.evaluate import EvaluateRequest
from shared.protocol.records import arrays_in
from shared.protocol.sent_model import LackingReply, SentModel
from shared.protocol.train import TrainReply, TrainRequest
from shared.settings.config import RunConfig
from shared.settings.schedule import Plan, plan_round
from shared.wire.arrays import Arrays, encode, from_record
from shared.wire.increments import apply_increments
from shared.wire.packing import pack
from shared.wire.size import serialized_size

STAGES = backbone_of("micro").stages

MakeSites = Callable[..., tuple[Any, Any]]
MakeFederation = Callable[..., Federation]
DTYPES = ["float16", "int8"]


def random_delta(reference: Reference, seed: int, scale: float = 1e-2) -> Arrays:
    generator = np.random.default_rng(seed)
    return {
        spec.name: generator.normal(0, scale, spec.shape).astype(np.float32)
        for spec in reference.specs(STAGES)
    }


class Site:
    """What a site makes of the models that it is sent."""

    def __init__(self, reference: Reference, dtype: str) -> None:
        self._reference, self._dtype = reference, dtype
        self.held: Arrays = {}

    def take(self, sent: SentModel) -> None:
        """Raises AssertionError where the digests say that it is another model."""
        reference = self._reference
        manifest = reference.specs(sent.changed, self._dtype) + reference.specs(sent.whole)
        self.held |= apply_increments(sent.delta, self.held, manifest)
        found = delta_digests(reference.network, sent.thawed, "average", self.held)
        assert tuple(found.values()) == sent.digests


def config_of(update_dtype: str, **changes: Any) -> RunConfig:
    fine = {"update_steps": 11.0} | changes
    return RunConfig(backbone="micro", update_dtype=update_dtype, **fine)


@pytest.mark.parametrize("update_dtype", DTYPES)
def test_what_sites_hold_comes_near_what_stands_still(
    reference: Reference, update_dtype: str
) -> None:
    """Each message brings a share of what the one before lost; one rounded afresh would not."""
    downlink, delta, config = Downlink(), random_delta(reference, 1), config_of(update_dtype)
    site, off = Site(reference, update_dtype), []
    for _ in range(4):
        sending = downlink.sending(reference, config, STAGES, delta)
        site.take(sending.model(sending.number - 1))
        downlink.sent(sending, config, ["north"], STAGES)
        off.append(max(np.abs(site.held[key] - delta[key]).max() for key in delta))
    step = 1e-2 / 11 if update_dtype == "int8" else 5e-2 * 2.0**-10
    assert step / 8 < off[0] < step
    assert off[3] < off[0] / 300


@pytest.mark.parametrize("update_dtype", ["float32", *DTYPES])
def test_only_what_has_changed_is_sent(reference: Reference, update_dtype: str) -> None:
    downlink, delta, config = Downlink(), random_delta(reference, 1), config_of(update_dtype)
    downlink.sent(downlink.sending(reference, config, STAGES, delta), config, [], ["layer3"])
    held = dict(downlink.received)
    changed = delta | {k: v * 2 for k, v in delta.items() if k.startswith("layer3")}
    sending = downlink.sending(reference, config, STAGES, changed)
    sent = sending.model(1)
    assert (sent.changed, sent.whole) == (("layer3",), ())
    assert all(name.startswith("layer3") for name in sent.delta)
    downlink.sent(sending, config, [], ())
    for name, value in held.items():
        same = value.tobytes() == downlink.received[name].tobytes()
        assert same == (not name.startswith("layer3")), name
    nothing = downlink.sending(reference, config, STAGES, changed).model(2)
    assert (nothing.changed, nothing.whole, len(nothing.delta)) == ((), (), 0)
    assert nothing.digests == sent.digests


SENDINGS = st.lists(st.sets(st.sampled_from(STAGES)), min_size=1, max_size=5)


@hypothesis.given(trained=SENDINGS, answers=st.integers(0, 31), resumed=st.booleans())
@hypothesis.settings(
    max_examples=12, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
def test_a_site_gets_what_it_lacks_whatever_it_missed(
    reference: Reference, trained: list[set[str]], answers: int, resumed: bool
) -> None:
    """One site hears all, another those rounds whose bit is set; both end with the same bits."""
    config, rng = config_of("int8"), np.random.default_rng(0)
    head = {k: v for k, v in random_delta(reference, 1).items() if k.startswith("fc.")}
    downlink, delta, rounds = Downlink(), head, []
    downlink.resume(reference, {}, [])
    always, sometimes = Site(reference, "int8"), Site(reference, "int8")
    for number, parts in enumerate(trained, start=1):
        sending = downlink.sending(reference, config, STAGES, delta)
        assert sending.number == number
        always.take(sending.model(downlink.seen.get("always", 0)))
        heard = ["always"]
        if answers >> number & 1:
            sometimes.take(sending.model(downlink.seen.get("sometimes", 0)))
            heard.append("sometimes")
        downlink.sent(sending, config, heard, parts)
        rounds.append((heard, parts))
        delta = delta | {
            spec.name: delta.get(spec.name, np.float32(0))
            + rng.normal(0, 1e-2, spec.shape).astype(np.float32)
            for spec in reference.specs(reference.network.backbone.parts_of(parts))
        }
    if resumed:
        received, downlink = downlink.received, Downlink()
        downlink.resume(reference, received, rounds)
    last = downlink.sending(reference, config, STAGES, delta)
    for name, site in (("always", always), ("sometimes", sometimes)):
        site.take(last.model(downlink.seen.get(name, 0)))
    Site(reference, "int8").take(last.model(0))
    missed = last.model(downlink.seen.get("sometimes", 0))
    assert set(missed.whole) <= {"head"}.union(*trained)


class Feedback:
    """Turns the scripted sites' float32 updates into a dtype, as real sites do."""

    def __init__(self, reference: Reference, update_dtype: str) -> None:
        self._reference, self._dtype = reference, update_dtype
        self._residual: dict[str, Arrays] = {}
        self.requests: list[RecordDict] = []

    def __call__(self, name: str, asked: Message, content: RecordDict) -> RecordDict:
        if asked.metadata.message_type != "train":
            return content
        self.requests.append(asked.content)
        plan: Plan = TrainRequest.from_content(asked.content, MICRO).plan
        reply = TrainReply.from_content(content)
        delta = from_record(reply.delta, self._reference.specs(plan.trainable))
        manifest = self._reference.specs(plan.trainable, self._dtype)
        encoded = encode(delta, manifest, self._residual.get(name, {}))
        self._residual[name] = encoded.residual
        return dataclasses.replace(reply, delta=encoded.record).to_content()


def masters(
    make_sites: MakeSites, make_federation: MakeFederation, reference: Reference, delta: Arrays,
    update_dtype: str, rounds: int,
) -> list[Arrays]:  # fmt: skip
    """The coordinator's weights after each round."""
    sites, grid = make_sites(("north", "east"))
    sites.spoil = Feedback(reference, update_dtype)
    federation = make_federation(
        grid, update_dtype=update_dtype, schedule="full", probe_rounds=0, rounds=rounds, min_sites=2
    )
    history = []
    for number in range(1, rounds + 1):
        delta, _ = run_round(federation, plan_round(federation.config, number), delta)
        history.append(delta)
    return history


def test_the_coordinators_weights_do_not_drift(
    make_sites: MakeSites, make_federation: MakeFederation, reference: Reference, delta: Arrays,
) -> None:  # fmt: skip
    """Sites that always learn the same: after any number of rounds within half a step."""
    exact = masters(make_sites, make_federation, reference, delta, "float32", 30)
    for update_dtype in DTYPES:
        small = masters(make_sites, make_federation, reference, delta, update_dtype, 30)
        # Updates have a deviation of 1e-2 and stay below 5e-2, plus the residual.
        half_step = 0.51e-2 / 11 * 1.1 if update_dtype == "int8" else 5.5e-2 * 2.0**-11
        off = [
            max(np.abs(one[key] - two[key]).max() for key in one)
            for one, two in zip(exact, small, strict=True)
        ]
        assert min(off) > 0, update_dtype
        assert max(off) < half_step, update_dtype
        assert np.mean(off[20:]) < 1.5 * np.mean(off[:10]), update_dtype


def test_a_round_that_is_asked_again_sends_the_same_bytes(
    make_sites: MakeSites, make_federation: MakeFederation, reference: Reference
) -> None:
    sites, grid = make_sites()
    feedback = Feedback(reference, "int8")
    failed: list[str] = []

    def spoil(name: str, asked: Message, content: RecordDict) -> RecordDict:
        content = feedback(name, asked, content)
        if name == "east" and asked.metadata.message_type == "train" and not failed:
            failed.append(name)
            raise RuntimeError
        return content

    sites.spoil = spoil
    federation = make_federation(grid, update_dtype="int8", retries=1)
    delta = random_delta(reference, 2)
    _, record = run_round(federation, plan_round(federation.config, 4), delta)
    assert record.exact.attempts == 2
    blocks = {bytes(content.array_records["delta"]["block"].data) for content in feedback.requests}
    assert len(feedback.requests) == 6
    assert len(blocks) == 1


def test_what_sites_have_survives_a_restart(reference: Reference, tmp_path: Path) -> None:
    """It continues with the same bytes; without its memory it could not."""
    delta, config = random_delta(reference, 3), config_of("int8")
    downlink = Downlink()
    downlink.resume(reference, {}, [])
    for _ in range(2):
        sending = downlink.sending(reference, config, STAGES, delta)
        downlink.sent(sending, config, ["north"], STAGES)
    save_checkpoint(tmp_path, Checkpoint(2, delta, {}, downlink.received))
    loaded = load_checkpoint(tmp_path, 2)
    assert loaded is not None
    continued = Downlink()
    continued.resume(reference, loaded.received, [(["north"], STAGES)] * 2)
    one, two = (
        each.sending(reference, config, STAGES, delta).model(2) for each in (downlink, continued)
    )
    assert pack(one.delta) == pack(two.delta)
    assert dataclasses.replace(one, delta=two.delta) == two


@pytest.mark.parametrize("update_dtype", DTYPES)
def test_the_final_model_is_evaluated_as_it_is(
    make_sites: MakeSites, make_federation: MakeFederation, reference: Reference, update_dtype: str
) -> None:
    sites, grid = make_sites()
    seen: list[RecordDict] = []

    def look(_: str, asked: Message, content: RecordDict) -> RecordDict:
        if asked.metadata.message_type == "evaluate":
            seen.append(asked.content)
        return content

    sites.spoil = look
    parts = ("layer2", "layer3", "layer4", "head")
    delta = select(reference, random_delta(reference, 4), parts)
    federation = make_federation(grid, update_dtype=update_dtype, update_steps=11.0)
    model = FinalModel(delta, parts)
    saved = model.delta(federation)
    evaluate_final(federation, model, 5)
    site = Site(reference, update_dtype)
    site.take(EvaluateRequest.from_content(seen[0], MICRO).model)
    assert site.held.keys() == saved.keys() == delta.keys()
    for key, value in saved.items():
        assert value.tobytes() == site.held[key].tobytes()
        assert np.abs(value - delta[key]).max() < 1e-2 / 10
    assert (
        sum(len(a.data) for a in arrays_in(seen[0], "delta").values())
        < 3 * sum(array.nbytes for array in delta.values()) / 5
    )


def lacking(times: int) -> Callable[[str, Message, RecordDict], RecordDict]:
    """East says so often in a row that it has nothing of what it is sent."""
    left = [times]

    def spoil(name: str, asked: Message, content: RecordDict) -> RecordDict:
        if asked.metadata.message_type == "query" or name != "east" or not left[0]:
            return content
        left[0] -= 1
        return LackingReply("east", ("layer4", "head")).to_content()

    return spoil


def test_a_site_without_its_memory_is_asked_again_with_all_of_it(
    make_sites: MakeSites, make_federation: MakeFederation, reference: Reference
) -> None:
    sites, grid = make_sites()
    seen: list[tuple[str, SentModel, int]] = []
    spoil = lacking(1)

    def look(name: str, asked: Message, content: RecordDict) -> RecordDict:
        if asked.metadata.message_type == "train":
            size = serialized_size(asked.content)
            seen.append((name, TrainRequest.from_content(asked.content, MICRO).model, size))
        return spoil(name, asked, content)

    sites.spoil = look
    federation = make_federation(grid)
    delta = random_delta(reference, 2)
    plan = plan_round(federation.config, 4)
    _, record = run_round(federation, plan, select(reference, delta, plan.thawed))
    assert (record.exact.attempts, record.exact.refused) == (1, {})
    assert sorted(record.exact.sites) == ["east", "north", "south"]
    assert [name for name, _, _ in seen].count("east") == 2
    first, second = (model for name, model, _ in seen if name == "east")
    assert first.whole == ()
    assert second.whole == ("layer4", "head")
    assert second.digests == first.digests
    assert set(second.delta) == set(first.delta)
    assert record.exact.bytes_down == sum(size for _, _, size in seen)


def test_a_site_that_never_has_enough_is_refused(
    make_sites: MakeSites, make_federation: MakeFederation, reference: Reference
) -> None:
    sites, grid = make_sites()
    sites.spoil = lacking(9)
    federation = make_federation(grid, min_sites=2)
    delta = random_delta(reference, 2)
    _, record = run_round(federation, plan_round(federation.config, 4), delta)
    assert record.exact.refused == {"east": "it cannot make the model of what it was sent"}
    assert [one for one in sites.heard if one == ("east", "train")] == [("east", "train")] * 2


def test_a_reply_in_another_format_is_refused(
    make_sites: MakeSites, make_federation: MakeFederation, reference: Reference, delta: Arrays
) -> None:
    """The scripted sites send float32; one of them sends what was asked for."""
    sites, grid = make_sites()
    feedback = Feedback(reference, "int8")
    sites.spoil = lambda name, asked, content: (
        feedback(name, asked, content) if name == "north" else content
    )
    federation = make_federation(grid, update_dtype="int8", min_sites=1)
    _, record = run_round(federation, plan_round(federation.config, 4), delta)
    assert list(record.exact.sites) == ["north"]
    reason = r"is float32 \(numpy\.ndarray\); int8 was asked for"
    for problem in record.exact.refused.values():
        with pytest.raises(ProtocolError, match=reason):
            raise ProtocolError(problem)
