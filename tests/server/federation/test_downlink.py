"""Small messages to and from scripted sites: the coordinator's own weights do not drift."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Message, RecordDict

from server.evaluation.final import evaluate_final
from server.federation.context import Federation
from server.federation.downlink import Downlink
from server.federation.global_model import Reference, select
from server.run.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from server.training.rounds import run_round
from shared.errors import ProtocolError
from shared.model.registry import backbone_of
from shared.model.resnet import MICRO
from shared.protocol.records import arrays_in
from shared.protocol.train import TrainReply, TrainRequest
from shared.settings.config import RunConfig
from shared.settings.schedule import Plan, plan_round
from shared.wire.arrays import Arrays, encode, from_record

STAGES = backbone_of("micro").stages

MakeSites = Callable[..., tuple[Any, Any]]
MakeFederation = Callable[..., Federation]
DTYPES = ["float16", "int8"]
PLAN = plan_round(RunConfig(schedule="full", probe_rounds=0, rounds=40), 2)


def random_delta(reference: Reference, seed: int, scale: float = 1e-2) -> Arrays:
    generator = np.random.default_rng(seed)
    return {
        spec.name: generator.normal(0, scale, spec.shape).astype(np.float32)
        for spec in reference.specs(STAGES)
    }


def received(content: RecordDict, reference: Reference, update_dtype: str) -> Arrays:
    """What a site makes of a request."""
    request = TrainRequest.from_content(content, MICRO)
    return from_record(request.delta, reference.specs(request.plan.thawed, update_dtype))


@pytest.mark.parametrize("update_dtype", DTYPES)
def test_what_sites_receive_is_right_on_average(reference: Reference, update_dtype: str) -> None:
    """Its mean over n rounds is off by half a step / n; without feedback it would stay off."""
    downlink, delta = Downlink(), random_delta(reference, 1)
    total = {key: np.zeros(value.shape) for key, value in delta.items()}
    off = []
    for number in range(1, 101):
        content, downlink.residual = downlink.request("r1", reference, PLAN, delta, update_dtype)
        for key, value in received(content, reference, update_dtype).items():
            total[key] += value
        means = {key: value / number for key, value in total.items()}
        off.append(max(np.abs(means[key] - delta[key]).max() for key in delta))
    step = 1e-2 / 11 if update_dtype == "int8" else 5e-2 * 2.0**-10
    assert step / 8 < off[0] < step
    assert off[99] < step / 100 + 1e-8


def test_with_float32_nothing_is_kept(reference: Reference) -> None:
    delta = random_delta(reference, 1)
    content, residual = Downlink().request("r1", reference, PLAN, delta, "float32")
    assert residual == {}
    for key, value in received(content, reference, "float32").items():
        assert value.tobytes() == delta[key].tobytes()


def test_what_has_not_changed_travels_as_nothing(reference: Reference) -> None:
    head = {k: v for k, v in random_delta(reference, 1).items() if k.startswith("fc.")}
    for update_dtype in ("float32", *DTYPES):
        content, _ = Downlink().request("r1", reference, PLAN, head, update_dtype)
        for key, array in arrays_in(content, "delta").items():
            assert (array.dtype == "zero") == (key not in head)
            assert (len(array.data) == 0) == (key not in head)


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


def test_the_feedback_survives_a_restart(
    make_sites: MakeSites, make_federation: MakeFederation, reference: Reference, tmp_path: Path
) -> None:
    delta = random_delta(reference, 3)
    downlink = Downlink()
    _, downlink.residual = downlink.request("r1", reference, PLAN, delta, "int8")
    save_checkpoint(tmp_path, Checkpoint(1, delta, {}, downlink.residual))
    loaded = load_checkpoint(tmp_path, 1)
    assert loaded is not None
    assert loaded.feedback.keys() == downlink.residual.keys() != set()
    requests = [
        one.request("r1", reference, PLAN, delta, "int8")[0]
        for one in (downlink, Downlink(loaded.feedback), Downlink())
    ]
    blocks = [bytes(content.array_records["delta"]["block"].data) for content in requests]
    assert blocks[0] == blocks[1] != blocks[2]


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
    delta = random_delta(reference, 4)
    evaluate_final(make_federation(grid, update_dtype=update_dtype), delta, 5)
    stages = ("layer2", "layer3", "layer4", "head")
    arrays = from_record(arrays_in(seen[0], "delta"), reference.specs(stages))
    for key, value in select(reference, delta, stages).items():
        assert arrays[key].tobytes() == value.tobytes()


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
