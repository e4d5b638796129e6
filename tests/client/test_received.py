"""A site makes the model of a message of what it received before, or says what it lacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord

from client.received import LackingError, received_delta, remember_received
from client.train.state import NOTHING, SiteState, load_state
from client.workspace import Workspace, network_of
from shared.model.delta_digest import delta_digests
from shared.model.manifest import manifest_of_parts
from shared.protocol.sent_model import SentModel
from shared.settings.config import RunConfig
from shared.wire.arrays import Arrays
from shared.wire.increments import encode_increments

OpenSite = Callable[..., tuple[Workspace, RunConfig]]
THAWED = ("layer3", "layer4", "head")


@pytest.fixture
def site(open_site: OpenSite) -> tuple[Workspace, RunConfig, Arrays]:
    workspace, config = open_site(update_dtype="int8")
    rng = np.random.default_rng(1)
    specs = manifest_of_parts(network_of(workspace, config), THAWED, config.batch_norm)
    return workspace, config, {s.name: rng.random(s.shape, np.float32) for s in specs}


def increment(
    workspace: Workspace, config: RunConfig, held: Arrays, wanted: Arrays
) -> tuple[SentModel, Arrays]:
    """A second message, in which layer4 is another, and what a site has after it."""
    network = network_of(workspace, config)
    specs = manifest_of_parts(network, ("layer4",), config.batch_norm, "int8")
    record, brought = encode_increments(wanted, held, specs, config.update_steps)
    after = held | brought
    digests = tuple(delta_digests(network, THAWED, config.batch_norm, after).values())
    return SentModel(2, THAWED, digests, ("layer4",), (), record), after


def test_a_message_builds_upon_the_one_before(
    site: tuple[Workspace, RunConfig, Arrays], requests: SimpleNamespace
) -> None:
    workspace, config, first = site
    network, folder = network_of(workspace, config), workspace.state_folder("run-1")
    whole = requests.sent_whole(workspace, config, 1, THAWED, first)
    held = received_delta(network, config, whole, NOTHING)
    remember_received(folder, 1, NOTHING, held)
    sent, after = increment(workspace, config, held, {n: a + 1 for n, a in first.items()})
    found = received_delta(network, config, sent, load_state(folder, 2))
    assert found.keys() == after.keys()
    for name, value in after.items():
        assert found[name].tobytes() == value.tobytes()


@pytest.mark.parametrize("memory", ["none", "another model", "another network", "a flipped bit"])
def test_a_site_says_what_it_lacks(site: tuple[Workspace, RunConfig, Arrays], memory: str) -> None:
    workspace, config, first = site
    sent, _ = increment(workspace, config, first, {n: a + 1 for n, a in first.items()})
    received = {name: torch.from_numpy(array.copy()) for name, array in first.items()}
    lacking: tuple[str, ...] = THAWED
    if memory == "none":
        received = {}
    elif memory == "another model":
        received = {name: value + 1 for name, value in received.items()}
    elif memory == "another network":
        received = {name: value.reshape(-1)[:1] for name, value in received.items()}
    else:
        received["fc.bias"].view(torch.int32)[0] ^= 1
        lacking = ("head",)
    with pytest.raises(LackingError) as raised:
        received_delta(
            network_of(workspace, config), config, sent, replace(state(), received=received)
        )
    assert raised.value.units == lacking


def test_units_that_never_changed_need_not_be_sent(
    site: tuple[Workspace, RunConfig, Arrays],
) -> None:
    workspace, config, _ = site
    network = network_of(workspace, config)
    digests = tuple(delta_digests(network, THAWED, config.batch_norm, {}).values())
    sent = SentModel(1, THAWED, digests, (), (), ArrayRecord())
    assert not any(a.any() for a in received_delta(network, config, sent, NOTHING).values())


def state() -> SiteState:
    return SiteState(1, "probe", {}, {})
