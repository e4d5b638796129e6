from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from client.exchange import (
    agreed_manifest,
    difference,
    local_statistics,
    rebuild_model,
    snapshot,
)
from client.workspace import Workspace
from shared.errors import ProtocolError
from shared.model.manifest import manifest_of_parts
from shared.model.registry import backbone_of
from shared.settings.config import RunConfig
from shared.wire.arrays import Arrays

STAGES = backbone_of("micro").stages

OpenSite = Callable[..., tuple[Workspace, RunConfig]]
STATISTICS = ("running_mean", "running_var")
THAWED = ("layer4", "head")


def random_delta(workspace: Workspace, config: RunConfig, stages: tuple[str, ...]) -> Arrays:
    """Small changes of every tensor of the stages that travels, chosen by name."""
    rng = np.random.default_rng(5)
    modules = {"stem": ("conv1", "bn1"), "head": ("fc",)}
    names = tuple(name for stage in stages for name in modules.get(stage, (stage,)))
    return {
        key: rng.normal(0, 0.01, tuple(value.shape)).astype(np.float32)
        for key, value in workspace.base.state.items()
        if key.split(".")[0] in names
        and not key.endswith("num_batches_tracked")
        and (config.batch_norm == "average" or not key.endswith(STATISTICS))
    }


def rebuilt(
    workspace: Workspace,
    config: RunConfig,
    delta: Arrays,
    statistics: dict[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    model = rebuild_model(
        workspace,
        config,
        base=workspace.base.digest,
        delta=delta,
        statistics=statistics or {},
    )
    return {key: value.clone() for key, value in model.state_dict().items()}


@pytest.mark.parametrize("batch_norm", ["average", "local", "frozen"])
@pytest.mark.parametrize("thawed", [("head",), THAWED, STAGES])
def test_base_plus_delta_is_exact_to_the_bit(
    open_site: OpenSite, batch_norm: str, thawed: tuple[str, ...]
) -> None:
    workspace, config = open_site(batch_norm=batch_norm)
    delta = random_delta(workspace, config, thawed)
    assert delta
    state = rebuilt(workspace, config, delta)
    assert state.keys() == workspace.base.state.keys()
    for key, value in state.items():
        expected = workspace.base.state[key].numpy().copy()
        if key in delta:
            np.add(expected, delta[key], out=expected)
        assert value.numpy().tobytes() == expected.tobytes(), key


def test_nothing_of_an_earlier_message_is_left(open_site: OpenSite) -> None:
    workspace, config = open_site()
    before = {key: value.clone() for key, value in workspace.base.state.items()}
    model = rebuild_model(
        workspace, config, base=workspace.base.digest,
        delta=random_delta(workspace, config, STAGES), statistics={},
    )  # fmt: skip
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.add_(1)
    delta = random_delta(workspace, config, ("head",))
    state = rebuilt(workspace, config, delta)
    for key, value in workspace.base.state.items():
        assert torch.equal(value, before[key])
        if key not in delta:
            assert torch.equal(state[key], value)


def test_statistics_that_stay_here_take_the_place_of_the_bases(open_site: OpenSite) -> None:
    workspace, config = open_site(batch_norm="local")
    own = {"layer4.0.bn1.running_mean": torch.arange(64.0)}
    delta = random_delta(workspace, config, THAWED)
    state = rebuilt(workspace, config, delta, statistics=own)
    assert torch.equal(state["layer4.0.bn1.running_mean"], torch.arange(64.0))
    other = "layer4.0.bn2.running_mean"
    assert torch.equal(state[other], workspace.base.state[other])


def test_another_base_is_refused(open_site: OpenSite) -> None:
    workspace, config = open_site()
    with pytest.raises(ProtocolError, match=r"base is abcdef012345, this site's [0-9a-f]{12}; all"):
        rebuild_model(
            workspace, config, base="sha256:abcdef0123456789", delta={}, statistics={},
        )  # fmt: skip


def test_the_site_names_what_it_will_send(open_site: OpenSite) -> None:
    workspace, config = open_site()
    delta = random_delta(workspace, config, THAWED)
    model = rebuild_model(
        workspace, config, base=workspace.base.digest, delta=delta, statistics={},
    )  # fmt: skip
    lines = [spec.to_line() for spec in manifest_of_parts(model, THAWED, config.batch_norm)]
    assert lines[-2:] == ["fc.weight float32 1x64", "fc.bias float32 1"]
    manifest = agreed_manifest(model, config, THAWED, lines)
    assert [spec.name for spec in manifest] == list(delta)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], r"1 tensors, this site would send 2 .*fc.bias float32 1\)"),
        (lambda lines: [*lines, "fc.more float32 3"], "3 tensors.*fc.more float32 3"),
        (lambda lines: ["fc.weight float32 1x99", lines[1]], "first difference: fc.weight float32"),
        (lambda lines: lines[::-1], r"2 tensors, this site would send 2 .*their order\)"),
        (lambda lines: [], "expects 0 tensors"),
    ],
)
def test_another_manifest_is_refused(
    open_site: OpenSite, change: Callable[[list[str]], list[str]], message: str
) -> None:
    workspace, config = open_site()
    delta = random_delta(workspace, config, ("head",))
    model = rebuild_model(
        workspace, config, base=workspace.base.digest, delta=delta, statistics={},
    )  # fmt: skip
    lines = ["fc.weight float32 1x64", "fc.bias float32 1"]
    with pytest.raises(ProtocolError, match=message):
        agreed_manifest(model, config, ("head",), change(lines))


def test_snapshots_are_copies_and_their_difference_is_what_changed(open_site: OpenSite) -> None:
    workspace, config = open_site()
    model = rebuild_model(
        workspace, config, base=workspace.base.digest,
        delta=random_delta(workspace, config, ("head",)), statistics={},
    )  # fmt: skip
    before = snapshot(model, ("fc.bias", "fc.weight"))
    with torch.no_grad():
        model.head_layer.bias.add_(0.5)
    changed = difference(snapshot(model, tuple(before)), before)
    assert list(changed) == ["fc.bias", "fc.weight"]
    assert changed["fc.bias"].dtype == np.float32
    assert changed["fc.bias"].tolist() == pytest.approx([0.5])
    assert not changed["fc.weight"].any()


@pytest.mark.parametrize("batch_norm", ["average", "local", "frozen"])
def test_statistics_stay_here_only_where_the_run_says_so(
    open_site: OpenSite, batch_norm: str
) -> None:
    workspace, config = open_site(batch_norm=batch_norm)
    delta = random_delta(workspace, config, THAWED)
    model = rebuild_model(
        workspace, config, base=workspace.base.digest, delta=delta, statistics={},
    )  # fmt: skip
    kept = local_statistics(model, THAWED, batch_norm)
    statistics = {
        key for key in model.state_dict() if key.startswith("layer4") and key.endswith(STATISTICS)
    }
    assert set(kept) == (statistics if batch_norm == "local" else set())
    assert (batch_norm == "average") == bool(statistics & set(delta))
