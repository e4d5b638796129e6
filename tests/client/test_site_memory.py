from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.numpy import load_file

from client.evaluate import evaluate_samples
from client.workspace import Workspace, training_samples
from shared.errors import SiteError
from shared.settings.config import RunConfig

OpenSite = Callable[..., tuple[Workspace, RunConfig]]


def files_below(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_moments_go_on_within_a_phase_and_begin_afresh_with_the_next(
    requests: SimpleNamespace, open_site: OpenSite
) -> None:
    workspace, config = open_site(probe_rounds=2)
    went_on = [requests.train(workspace, config, number).continued_from for number in (1, 2, 3, 4)]
    assert went_on == [0, 1, 0, 3]
    # A round that this site missed: it goes on from the newest it has.
    assert requests.train(workspace, config, 6).continued_from == 4
    assert requests.train(workspace, config, 6, run="run-2").continued_from == 0


def test_a_round_asked_twice_is_answered_twice_the_same(
    requests: SimpleNamespace, open_site: OpenSite
) -> None:
    workspace, config = open_site(batch_norm="local")
    for number in (1, 2, 3):
        requests.train(workspace, config, number)
    one, two = requests.train(workspace, config, 4), requests.train(workspace, config, 4)
    assert one.continued_from == two.continued_from == 3
    assert one.histogram == two.histogram
    for key in one.delta:
        assert one.delta[key].data == two.delta[key].data


def test_local_statistics_are_kept_here_and_come_back(
    requests: SimpleNamespace, open_site: OpenSite
) -> None:
    workspace, config = open_site(batch_norm="local", min_cell=1)
    requests.train(workspace, config, 2)
    stored = load_file(workspace.state_folder("run-1") / "0002.safetensors")
    kept = {key for key in stored if key.startswith("statistics/")}
    assert {key.rpartition(".")[2] for key in kept} == {"running_mean", "running_var"}
    assert {key.split("/")[1].split(".")[0] for key in kept} == {"layer4"}

    model = requests.received(workspace, config, ("layer4", "head"))
    state = model.state_dict()
    for key in kept:
        state[key.removeprefix("statistics/")].copy_(torch.from_numpy(stored[key]))
    samples = training_samples(workspace, config).validation
    expected = evaluate_samples(model, samples, config.batch_size)
    assert requests.evaluate(workspace, config, "validation", after=2).histogram == expected
    # The next round evaluates and trains the model with the statistics of the round before.
    assert requests.train(workspace, config, 3).histogram == expected
    # Before round 2 there were none, so the model is another one.
    assert requests.evaluate(workspace, config, "validation", after=1).histogram != expected


@pytest.mark.parametrize("batch_norm", ["average", "local"])
def test_after_the_last_round_the_moments_go_and_the_statistics_stay(
    requests: SimpleNamespace, open_site: OpenSite, batch_norm: str
) -> None:
    workspace, config = open_site(batch_norm=batch_norm)
    folder = workspace.state_folder("run-1")
    for number in (1, 2, 3, 4):
        requests.train(workspace, config, number)
    plain = requests.evaluate(workspace, config, "validation", after=4).histogram
    assert len(list(folder.glob("*.safetensors"))) == 3
    # Asked again, because another site had failed, the answer is the same.
    for _ in range(2):
        last = requests.evaluate(workspace, config, "validation", after=4, final=True)
        assert last.histogram == plain
    if batch_norm == "average":
        # The scores of the final model stay for the site's owner.
        assert [path.name for path in folder.iterdir()] == ["scores-validation.json"]
    else:
        (kept,) = folder.glob("*.safetensors")
        assert {key.split("/")[0] for key in load_file(kept)} == {"statistics"}


def test_a_full_disk_is_the_sites_error(
    requests: SimpleNamespace, open_site: OpenSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, config = open_site()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/secret/0001.safetensors")

    monkeypatch.setattr("client.train.state.write_over", full)
    with pytest.raises(SiteError, match="make room there") as caught:
        requests.train(workspace, config, 1)
    assert "secret" not in caught.value.shareable


def test_nothing_but_the_runs_state_and_features_are_written(
    requests: SimpleNamespace, open_site: OpenSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.features.keep.worth_keeping", lambda costs, passes, **_: [*passes])
    workspace, config = open_site()
    cache = workspace.parts[0].settings.cache
    before = files_below(tmp_path) | files_below(cache)
    requests.train(workspace, config, 1)
    requests.evaluate(workspace, config, "all", after=1)
    kept = files_below(cache / "features")
    assert kept
    after = files_below(tmp_path) | files_below(cache)
    assert {path: after[path] for path in before} == before
    assert after.keys() - before.keys() - kept.keys() == {
        workspace.state_folder("run-1") / "0001.safetensors"
    }
