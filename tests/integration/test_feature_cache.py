"""Federations with kept features: the same bytes whenever and wherever they are kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from client.features.worth import Cost
from server.run.ledger import read_rounds
from shared.run.events import Event, RoundFinished, listening
from shared.settings.config import RunConfig

MakeConfig = Callable[..., RunConfig]
Simulate = Callable[[RunConfig], dict[str, Any]]
WriteSite = Callable[..., Path]


@pytest.fixture(autouse=True)
def _everything_is_worth_keeping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "client.features.keep.measure_costs",
        lambda samples, views, prefix, keys, store: dict.fromkeys(keys, Cost(1000.0, 0.0, 0.0, 1)),
    )


@pytest.fixture
def two_sites(tmp_path: Path, write_site: WriteSite) -> list[Path]:
    """With caches of their own, and so without features at first."""
    return [
        write_site(tmp_path, name, 10, seed=seed, more='cache = "cache"')
        for seed, name in enumerate(("north", "south"))
    ]


def model_bytes(config: RunConfig) -> bytes:
    return (Path(config.out) / "model.safetensors").read_bytes()


def losses(config: RunConfig) -> list[float | None]:
    return [record.loss for record in read_rounds(Path(config.out) / "ledger.jsonl")]


def kept_below(site: Path) -> set[Path]:
    folder = site / "cache" / "features"
    return {path.relative_to(folder) for path in folder.rglob("*.safetensors")}


def test_kept_computed_and_reused_features_give_the_same_bytes(
    two_sites: list[Path], federated: MakeConfig, simulate: Simulate
) -> None:
    settings: dict[str, Any] = {"sites": two_sites, "augmentation": "recipe", "local_epochs": 9}
    first = federated("first", **settings)
    simulate(first)
    assert all(kept_below(site) for site in two_sites)
    again = federated("again", **settings)
    simulate(again)
    for site in two_sites:
        shutil.rmtree(site / "cache" / "features")
        file = site / "site.toml"
        file.write_text(file.read_text().replace("[compute]", "[compute]\nfeatures = 0"))
    computed = federated("computed", **settings)
    simulate(computed)
    assert not any(kept_below(site) for site in two_sites)
    assert model_bytes(first) == model_bytes(again) == model_bytes(computed)


def test_off_draws_other_pictures_and_learns_about_the_same(
    two_sites: list[Path], federated: MakeConfig, simulate: Simulate
) -> None:
    settings: dict[str, Any] = {"sites": two_sites, "augmentation": "recipe", "probe_rounds": 3}
    auto, off = federated("auto", **settings), federated("off", feature_cache="off", **settings)
    simulate(auto)
    simulate(off)
    assert model_bytes(auto) != model_bytes(off)
    # Before anything is trained the model is the same, and so are the validation images.
    one, other = (
        read_rounds(Path(config.out) / "ledger.jsonl")[0].validation for config in (auto, off)
    )
    assert one == other
    assert losses(auto)[:3] == pytest.approx(losses(off)[:3], rel=0.1)


def test_without_anything_drawn_off_is_the_same_but_for_float16s_rounding(
    two_sites: list[Path], federated: MakeConfig, simulate: Simulate, plain: dict[str, Any]
) -> None:
    settings = {**plain, "sites": two_sites, "schedule": "probe", "optimizer": "sgd"}
    auto = federated("auto", **(settings | {"feature_cache": "auto"}))
    off = federated("off", **settings)
    simulate(auto)
    simulate(off)
    assert losses(auto) == pytest.approx(losses(off), rel=1e-3)
    one, other = (
        load_file(Path(config.out) / "model.safetensors")["fc.weight"] for config in (auto, off)
    )
    assert (one - other).norm() < 1e-3 * other.norm()
    assert model_bytes(auto) != model_bytes(off)


class Stopped(Exception):
    """As if the process had been killed."""


@pytest.mark.parametrize("lost", ["nothing", "all", "one-site"])
def test_a_run_that_is_resumed_without_its_features_gives_the_same_bytes(
    two_sites: list[Path], federated: MakeConfig, simulate: Simulate, lost: str
) -> None:
    settings: dict[str, Any] = {"sites": two_sites, "augmentation": "recipe"}
    whole, stopped = federated("whole", **settings), federated("stopped", **settings)
    simulate(whole)
    for site in two_sites:
        shutil.rmtree(site / "cache" / "features")
    for number in (1, 3):

        def listener(event: Event, last: int = number) -> None:
            if isinstance(event, RoundFinished) and event.round == last:
                raise Stopped

        with listening(listener), pytest.raises(Stopped):
            simulate(stopped)
        for site in two_sites if lost == "all" else two_sites[: lost == "one-site"]:
            shutil.rmtree(site / "cache" / "features")
        stopped = replace(stopped, resume=True)
    simulate(stopped)
    assert model_bytes(stopped) == model_bytes(whole)


def test_pooled_sites_keep_theirs_apart(
    two_sites: list[Path], federated: MakeConfig, simulate: Simulate
) -> None:
    settings: dict[str, Any] = {"sites": two_sites, "augmentation": "recipe", "local_epochs": 9}
    apart = federated("apart", **settings)
    simulate(apart)
    own = [kept_below(site) for site in two_sites]
    assert not {path.name for path in own[0]} & {path.name for path in own[1]}
    for site in two_sites:
        shutil.rmtree(site / "cache" / "features")
    pooled = federated("pooled", pooled=True, min_sites=1, **settings)
    simulate(pooled)
    assert [kept_below(site) for site in two_sites] == own
    # One of two owners allows no space: then nothing of the other's is kept either.
    for site in two_sites:
        shutil.rmtree(site / "cache" / "features")
    file = two_sites[1] / "site.toml"
    file.write_text(file.read_text().replace("[compute]", "[compute]\nfeatures = 0"))
    computed = federated("computed", pooled=True, min_sites=1, **settings)
    simulate(computed)
    assert [kept_below(site) for site in two_sites] == [set(), set()]
    assert model_bytes(computed) == model_bytes(pooled)
