"""What a dtype loses of a site's update stays at the site and goes into the next one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from client.train.state import load_state, save_state
from client.workspace import Workspace, shared_model
from shared.model.manifest import manifest_of_parts
from shared.protocol.train import TrainReply
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round
from shared.wire.arrays import Arrays, TensorSpec, from_record

OpenSite = Callable[..., tuple[Workspace, RunConfig]]
LOSSY = ["float16", "int8"]


def manifest(workspace: Workspace, config: RunConfig, round_number: int) -> tuple[TensorSpec, ...]:
    network = shared_model(config.backbone, config.dropout, workspace.device)
    stages = plan_round(config, round_number).trainable
    return manifest_of_parts(network, stages, config.batch_norm, config.update_dtype)


def update(workspace: Workspace, config: RunConfig, reply: TrainReply) -> Arrays:
    return from_record(reply.delta, manifest(workspace, config, reply.round))


def residual(workspace: Workspace, round_number: int) -> Arrays:
    state = load_state(workspace.state_folder("run-1"), round_number + 1)
    assert state.round == round_number
    return {key: value.numpy() for key, value in state.update.get("residual", {}).items()}


def assert_only_the_rest_differs(
    with_it: tuple[Arrays, Arrays], without: tuple[Arrays, Arrays], owed: Arrays
) -> None:
    """Sent and kept of one round, in which the site owed this, and in which it owed nothing."""
    (sent, kept), (bare, fresh) = with_it, without
    for key, value in kept.items():
        np.testing.assert_allclose(
            sent[key] + value, bare[key] + fresh[key] + owed.get(key, 0),
            rtol=0, atol=1e-6 * np.abs(bare[key]).max(),
        )  # fmt: skip


@pytest.mark.parametrize("update_dtype", LOSSY)
def test_what_is_not_sent_is_kept(
    requests: SimpleNamespace, open_site: OpenSite, update_dtype: str
) -> None:
    """Round 2 is the first with layer4; what float32 sends in it says what there was to lose."""
    workspace, config = open_site(update_dtype=update_dtype)
    plain = dataclasses.replace(config, update_dtype="float32")
    exact = update(workspace, plain, requests.train(workspace, plain, 2))
    assert residual(workspace, 2) == {}
    sent = update(workspace, config, requests.train(workspace, config, 2))
    lost = residual(workspace, 2)
    rounded = {spec.name for spec in manifest(workspace, config, 2) if spec.format == update_dtype}
    assert set(lost) == rounded != set()
    for key, value in exact.items():
        np.testing.assert_array_equal(sent[key] + lost.get(key, 0) - value, 0 * value)


@pytest.mark.parametrize("update_dtype", LOSSY)
def test_it_is_sent_with_the_next_update(
    requests: SimpleNamespace, open_site: OpenSite, update_dtype: str
) -> None:
    """The same round with and without it: what is sent and kept differs by just that."""
    workspace, config = open_site(update_dtype=update_dtype)
    requests.train(workspace, config, 2)
    lost = residual(workspace, 2)
    with_it = update(workspace, config, requests.train(workspace, config, 3))
    kept = residual(workspace, 3)
    assert set(lost) < set(kept)  # layer3 has thawed

    folder = workspace.state_folder("run-1")
    save_state(folder, dataclasses.replace(load_state(folder, 3), update={}))
    without = update(workspace, config, requests.train(workspace, config, 3))
    fresh = residual(workspace, 3)
    assert_only_the_rest_differs((with_it, kept), (without, fresh), lost)
    for key in kept:
        assert (key in lost) == (with_it[key].tobytes() != without[key].tobytes())


@pytest.mark.parametrize("update_dtype", LOSSY)
def test_a_round_asked_twice_is_answered_twice_the_same(
    requests: SimpleNamespace, open_site: OpenSite, update_dtype: str
) -> None:
    workspace, config = open_site(update_dtype=update_dtype)
    for number in (1, 2, 3):
        requests.train(workspace, config, number)
    one, two = requests.train(workspace, config, 4), requests.train(workspace, config, 4)
    for key in one.delta:
        assert one.delta[key].data == two.delta[key].data


def test_after_the_last_round_it_goes(requests: SimpleNamespace, open_site: OpenSite) -> None:
    workspace, config = open_site(update_dtype="int8", batch_norm="local")
    for number in (1, 2, 3, 4):
        requests.train(workspace, config, number)
    assert residual(workspace, 4)
    requests.evaluate(workspace, config, "validation", after=4, final=True)
    state = load_state(workspace.state_folder("run-1"), 5)
    assert (state.round, state.optimizer, state.update) == (4, {}, {})
    assert state.statistics


def test_what_is_left_of_an_update_that_did_not_count_is_not_sent(
    requests: SimpleNamespace, open_site: OpenSite
) -> None:
    """Round 3 was refused: round 4 goes on from what round 2 left, as if 3 had never been asked."""
    workspace, config = open_site(update_dtype="int8")
    folder = workspace.state_folder("run-1")
    requests.train(workspace, config, 2)
    left = residual(workspace, 2)
    requests.train(workspace, config, 3)
    state = load_state(folder, 4)
    astray = {key: 1e6 * value for key, value in state.update["residual"].items()}
    save_state(folder, dataclasses.replace(state, update={"residual": astray}))
    plan = plan_round(config, 4)
    whole = requests.sent_whole(
        workspace, config, 4, plan.thawed, requests.delta_of(workspace, config, plan.thawed)
    )
    refused = dataclasses.replace(whole, seen=2)
    sent = update(workspace, config, requests.train(workspace, config, 4, model=refused))
    kept = residual(workspace, 4)
    save_state(folder, dataclasses.replace(state, update={}))
    bare = update(workspace, config, requests.train(workspace, config, 4, model=whole))
    fresh = residual(workspace, 4)
    assert_only_the_rest_differs((sent, kept), (bare, fresh), left)
    # The state of round 2 is gone as well: then nothing is owed.
    save_state(folder, dataclasses.replace(state, update={"residual": astray}))
    (folder / "0002.safetensors").unlink()
    again = update(workspace, config, requests.train(workspace, config, 4, model=refused))
    assert {k: v.tobytes() for k, v in again.items()} == {k: v.tobytes() for k, v in bare.items()}
