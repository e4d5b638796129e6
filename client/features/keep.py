"""Deciding whether a cohort's features are kept, and computing those that are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import torch

from client.data.dataset import Sample
from client.data.loading import loader_workers
from client.features.boundary import Passes
from client.features.feature_set import FeatureSet, Stores
from client.features.measure import measure_costs
from client.features.prefix import CHUNK, Prefix
from client.features.store import FeatureKey
from client.features.views import Views, Wanted, load_views
from client.features.worth import worth_keeping
from shared.schedule import Stage


@dataclass(frozen=True)
class Watcher:
    """Whom to tell how the computing of features goes."""

    begin: Callable[[int], None]
    """Called with the number of images."""
    step: Callable[[], None]
    """Called after each of them."""
    problem: Callable[[str], None]
    """Called with a sentence for the site's owner."""


@dataclass(frozen=True, eq=False)
class Request:
    """Features of a cohort, for this round and those to come."""

    samples: Sequence[Sample]
    views: Views
    prefix: Prefix
    keys: Mapping[Stage, FeatureKey]
    """A key for the boundary of this round and for each of `passes`."""
    passes: Passes
    stores: Stores


Decisions = dict[Stage, bool]
"""Whether features are kept, by boundary, as far as it was decided."""


def prepare_features(
    request: Request, boundary: Stage, decisions: Decisions, watcher: Watcher
) -> FeatureSet:
    """The features at a boundary, computed and kept first where that is worth it.

    What is decided is entered in `decisions`, so that nothing is measured twice.
    """
    for store in request.stores.values():
        store.used([request.keys[boundary]])
    kept = not _lacking(request, [boundary])
    if not kept:
        if boundary not in decisions:
            decisions |= _decide(request)
        wanted = [stage for stage in request.passes if decisions.get(stage)]
        kept = boundary in wanted and _fill(request, wanted, watcher)
        decisions[boundary] = kept
    return FeatureSet(
        request.samples, request.views, request.prefix, boundary, request.keys[boundary],
        request.stores, kept,
    )  # fmt: skip


def _decide(request: Request) -> Decisions:
    """By what it costs at the first site's folder; pooled sites lie on one machine."""
    folder = request.samples[0].cache.folder
    own = [sample for sample in request.samples if sample.cache.folder == folder]
    store, views = request.stores[folder], request.views.count
    keys = list(request.keys.values())
    chosen: Collection[Stage] = ()
    if room := store.room(keys):
        try:
            costs = measure_costs(own, request.views, request.prefix, request.keys, store)
        except OSError:  # `_fill` would meet it too; without a cache there is nothing to decide
            costs = {}
        chosen = worth_keeping(costs, request.passes, views=views, images=len(own), room=room)
        store.make_room(sum(costs[s].bytes for s in chosen) * views * len(own), keys)
    return {stage: stage in chosen for stage in request.passes}


def _fill(request: Request, boundaries: Sequence[Stage], watcher: Watcher) -> bool:
    """Compute and keep what is lacking; False where it cannot be kept."""
    lacking = _lacking(request, boundaries)
    watcher.begin(len(lacking))
    views = request.views.count
    size = max(1, CHUNK // views)
    chunks = [lacking[start : start + size] for start in range(0, len(lacking), size)]
    batches = [[Wanted(number, v) for number in chunk for v in range(views)] for chunk in chunks]
    workers = loader_workers(request.prefix.device)
    loaded = load_views(request.samples, request.views, batches, workers)
    try:
        for chunk, images in zip(chunks, loaded, strict=True):
            features = request.prefix.features(images, boundaries)
            for boundary, values in features.items():
                for number, own in zip(chunk, torch.split(values, views), strict=True):
                    sample = request.samples[number]
                    store = request.stores[sample.cache.folder]
                    store.write(request.keys[boundary], sample.radiograph.digest, own)
            for _ in chunk:
                watcher.step()
    except OSError as error:
        watcher.problem(
            f"What the frozen stages make of the images cannot be kept ({error.strerror}); it is "
            "computed in every round instead, which takes longer. Make room in the cache, or name "
            "another place as [compute] cache in site.toml."
        )
        return False
    return True


def _lacking(request: Request, boundaries: Collection[Stage]) -> list[int]:
    """The samples without a file for one of these boundaries."""
    keys = [request.keys[boundary] for boundary in boundaries]
    return [
        number
        for number, sample in enumerate(request.samples)
        if not all(
            request.stores[sample.cache.folder].has(key, sample.radiograph.digest) for key in keys
        )
    ]
