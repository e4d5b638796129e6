from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from client.data.dataset import Sample
from client.features.keep import Decisions, Request, prepare_features
from client.features.store import FeatureStore
from client.features.worth import Cost
from shared.model.network import Network
from shared.settings.config import RunConfig

PASSES = {"layer2": 9, "layer4": 8, "head": 7}
VIEWS = 3
# Maps of micro at 32 pixels, in float16.
BYTES = {"layer2": 8 * 8 * 8 * 2, "layer4": 32 * 2 * 2 * 2, "head": 64 * 2}
HEADER = 1000
"""More than a file has beside its features."""


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Costs with which everything is worth keeping; how many images each measuring had."""
    calls: list[int] = []

    def measure(samples: Any, views: Any, prefix: Any, keys: Any, store: Any) -> dict[str, Cost]:
        calls.append(len(samples))
        return {stage: Cost(100.0, 0.0, 0.0, BYTES[stage]) for stage in keys}

    monkeypatch.setattr("client.features.keep.measure_costs", measure)
    return calls


@pytest.fixture
def request_of(
    feature_request: Callable[..., Request],
    make_model: Callable[..., Network],
    micro_config: Callable[..., RunConfig],
) -> Callable[..., Request]:
    def make(**given: Any) -> Request:
        config = micro_config(feature_cache_views=VIEWS, precision="float32")
        return feature_request(make_model().eval(), config, PASSES, **given)

    return make


def store_of(request: Request) -> FeatureStore:
    (store,) = request.stores.values()
    return store


def kept_files(request: Request) -> dict[str, int]:
    return {
        stage: sum(
            store.has(key, sample.radiograph.digest)
            for store in request.stores.values()
            for sample in request.samples
        )
        for stage, key in request.keys.items()
    }


def test_all_boundaries_are_decided_and_computed_at_once(
    request_of: Callable[..., Request], measured: list[int], watcher: SimpleNamespace
) -> None:
    request, decisions = request_of(), Decisions()
    assert prepare_features(request, "head", decisions, watcher.telling).kept
    assert set(decisions) == set(request.keys.values())
    assert all(decisions.values())
    assert kept_files(request) == dict.fromkeys(PASSES, 11)
    assert watcher.begun == [11]
    for boundary in ("head", "layer4", "layer2"):
        assert prepare_features(request, boundary, decisions, watcher.telling).kept
    # Another process finds the files and decides nothing.
    assert prepare_features(request, "head", {}, watcher.telling).kept
    assert (measured, watcher.begun, watcher.problems) == ([11], [11], [])


def test_what_is_not_worth_it_is_measured_once(
    request_of: Callable[..., Request], measured: list[int], watcher: SimpleNamespace
) -> None:
    request, decisions = request_of(limit=11 * VIEWS * BYTES["head"] - 1), Decisions()
    for _ in range(3):
        assert not prepare_features(request, "head", decisions, watcher.telling).kept
    assert measured == [11]
    assert decisions == dict.fromkeys(request.keys.values(), False)
    assert kept_files(request) == dict.fromkeys(PASSES, 0)
    assert (watcher.begun, watcher.problems) == ([], [])


def test_a_limit_of_nothing_keeps_nothing_and_measures_nothing(
    request_of: Callable[..., Request], measured: list[int], watcher: SimpleNamespace
) -> None:
    request = request_of(limit=0)
    assert not prepare_features(request, "layer4", {}, watcher.telling).kept
    assert measured == []
    assert not store_of(request).root.exists()


def test_the_limit_chooses_between_boundaries(
    request_of: Callable[..., Request], measured: list[int], watcher: SimpleNamespace
) -> None:
    """Room for the two smaller ones of three; files' headers are left aside in choosing."""
    request = request_of(limit=11 * VIEWS * BYTES["layer2"] - 1)
    decisions = Decisions()
    prepare_features(request, "head", decisions, watcher.telling)
    chosen = {stage for stage, key in request.keys.items() if decisions[key]}
    assert chosen == {"layer4", "head"}


def test_an_entry_half_filled_is_completed_though_it_takes_half_the_limit(
    request_of: Callable[..., Request], measured: list[int], watcher: SimpleNamespace
) -> None:
    """A process was killed while it computed features, or another seed changed the split."""
    request = request_of(limit=11 * (VIEWS * sum(BYTES.values()) + 3 * HEADER))
    assert prepare_features(request, "head", {}, watcher.telling).kept
    store = store_of(request)
    for sample in request.samples[5:]:
        for key in request.keys.values():
            store.path(key, sample.radiograph.digest).unlink()
    store.limit -= 11 * 3 * HEADER // 2
    assert prepare_features(request, "head", {}, watcher.telling).kept
    assert watcher.begun == [11, 6]
    assert kept_files(request) == dict.fromkeys(PASSES, 11)


def test_the_processs_other_features_never_make_room(
    request_of: Callable[..., Request], measured: list[int], watcher: SimpleNamespace
) -> None:
    """Validation and training share a limit; older entries of other runs go first."""
    training = request_of()
    validation, older = (
        replace(training, keys={s: replace(k, views=name) for s, k in training.keys.items()})
        for name in ("validation", "older")
    )
    decisions = Decisions()
    prepare_features(older, "head", {}, watcher.telling)
    prepare_features(validation, "head", decisions, watcher.telling)
    each = sum(path.stat().st_size for path in store_of(training).root.rglob("*.safetensors")) // 2
    store_of(training).limit = int(2.1 * each)
    prepare_features(training, "head", decisions, watcher.telling)
    assert kept_files(validation) == kept_files(training) == dict.fromkeys(PASSES, 11)
    assert sum(kept_files(older).values()) < 33
    # Where there is no room beside them, they stay and the others are not kept.
    store_of(training).limit = int(1.05 * each)
    store_of(training).remove(list(training.keys.values()))
    prepare_features(training, "head", {k: decisions[k] for k in validation.keys.values()},
                     watcher.telling)  # fmt: skip
    assert kept_files(validation) == dict.fromkeys(PASSES, 11)
    assert sum(kept_files(training).values()) < 33


def test_what_another_process_removed_comes_back_within_the_limit(
    request_of: Callable[..., Request], measured: list[int], watcher: SimpleNamespace
) -> None:
    request, decisions = request_of(), Decisions()
    prepare_features(request, "head", decisions, watcher.telling)
    store = store_of(request)
    size = sum(path.stat().st_size for path in store.root.rglob("*.safetensors"))
    store.limit = int(1.2 * size)
    store.remove(list(request.keys.values()))
    other = replace(request, keys={s: replace(k, views="x") for s, k in request.keys.items()})
    prepare_features(other, "head", {}, watcher.telling)
    assert prepare_features(request, "head", decisions, watcher.telling).kept
    assert kept_files(request) == dict.fromkeys(PASSES, 11)
    now = sum(path.stat().st_size for path in store.root.rglob("*.safetensors"))
    assert now <= store.limit + 33 * HEADER
    assert sum(kept_files(other).values()) < 33
    assert len(measured) == 2


@pytest.mark.parametrize("when", ["measuring", "first", "later", "folder"])
def test_a_full_disk_is_told_and_nothing_is_left_on_it(
    request_of: Callable[..., Request], measured: list[int], watcher: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch, when: str,
) -> None:  # fmt: skip
    written = 0

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/secret")

    def nearly(path: Path, data: bytes) -> None:
        nonlocal written
        written += 1
        if when == "first" or written > 7:
            full()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    monkeypatch.setattr("client.features.store.write_kept", nearly)
    if when == "measuring":
        monkeypatch.setattr("client.features.keep.measure_costs", full)
    if when == "folder":
        monkeypatch.setattr("client.features.store.make_private_folder", full)
    request, decisions = request_of(), Decisions()
    features = prepare_features(request, "head", decisions, watcher.telling)
    assert not features.kept
    assert kept_files(request) == dict.fromkeys(PASSES, 0)
    (sentence,) = watcher.problems
    assert sentence.startswith("The frozen stages' activations cannot be cached (No space")
    assert "secret" not in sentence
    # It is not tried again for this boundary, nor told twice.
    assert not prepare_features(request, "head", decisions, watcher.telling).kept
    assert len(watcher.problems) == 1


def test_of_pooled_sites_the_tightest_limit_decides(
    request_of: Callable[..., Request], make_samples: Callable[..., list[Sample]],
    measured: list[int], watcher: SimpleNamespace, tmp_path: Path,
) -> None:  # fmt: skip
    ours, theirs = make_samples(11), make_samples(4, site="south")
    south = tmp_path / "south-cache"
    (tmp_path / "image-cache").rename(south)
    make_samples(11)
    for sample in theirs:
        sample.cache.folder = south
        sample.cache._images = south / "images" / sample.cache.preparation
    request = request_of(samples=[*ours, *theirs])
    assert set(request.stores) == {south, ours[0].cache.folder}
    request.stores[south].limit = 0
    assert not prepare_features(request, "head", {}, watcher.telling).kept
    assert not request.stores[south].root.exists()
    request.stores[south].limit = 10**9
    assert prepare_features(request, "head", {}, watcher.telling).kept
    assert measured == [11]
    for folder, count in ((south, 4), (ours[0].cache.folder, 11)):
        assert len(list((folder / "features").rglob("*.safetensors"))) == 3 * count
