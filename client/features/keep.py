"""Deciding whether a cohort's features are kept, and computing those that are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from client.data.dataset import Sample, loader_workers
from client.features.boundary import Passes
from client.features.feature_set import FeatureSet, Stores
from client.features.measure import measure_costs
from client.features.prefix import CHUNK, Prefix
from client.features.store import FeatureKey
from client.features.views import Views, Wanted, load_views
from client.features.worth import worth_keeping
from shared.model.backbone import Part


@dataclass(frozen=True)
class Watcher:
    """Who hears how the computing of features goes."""

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
    keys: Mapping[Part, FeatureKey]
    """A key for the boundary of this round and for each of `passes`."""
    passes: Passes
    stores: Stores


Decisions = dict[FeatureKey, bool]
"""Whether features are kept, as far as it was decided."""


def prepare_features(
    request: Request, boundary: Part, decisions: Decisions, watcher: Watcher
) -> FeatureSet:
    """The features at a boundary, computed and kept first where that is worth it.

    What is decided is entered in `decisions`, so that nothing is measured twice and that nothing
    makes room for other features of the same process.
    """
    key = request.keys[boundary]
    for store in request.stores.values():
        store.used([key])
    kept = not _lacking(request, [boundary])
    if not kept:
        try:
            if key not in decisions:
                decisions |= _decide(request, decisions)
            wanted = [stage for stage in request.passes if decisions.get(request.keys[stage])]
            kept = boundary in wanted and _fill(request, wanted, decisions, watcher)
        except OSError as error:
            _give_up(request, watcher, error)
    decisions[key] = kept
    return FeatureSet(
        request.samples, request.views, request.prefix, boundary, key, request.stores, kept
    )


def _decide(request: Request, decisions: Decisions) -> Decisions:
    """By what it costs at the first site's folder; pooled sites lie on one machine.

    Each of them has a limit of its own, and the tightest one decides.
    """
    keep = _kept_besides(request, decisions)
    images = _by_folder(request, range(len(request.samples)))
    room = min(request.stores[f].room(keep) // len(own) for f, own in images.items())
    chosen: Collection[Part] = ()
    if room:
        folder, own = next(iter(images.items()))
        samples = [request.samples[number] for number in own]
        costs = measure_costs(
            samples, request.views, request.prefix, request.keys, request.stores[folder]
        )
        chosen = worth_keeping(costs, request.passes, views=request.views.count, room=room)
    return {request.keys[stage]: stage in chosen for stage in request.passes}


def _fill(
    request: Request, boundaries: Sequence[Part], decisions: Decisions, watcher: Watcher
) -> bool:
    """Compute and keep what is lacking; False where there is no room for it. Raises OSError."""
    lacking = _lacking(request, boundaries)
    watcher.begin(len(lacking))
    views = request.views.count
    size = max(1, CHUNK // views)
    chunks = [lacking[start : start + size] for start in range(0, len(lacking), size)]
    batches = [[Wanted(number, v) for number in chunk for v in range(views)] for chunk in chunks]
    workers = loader_workers(request.prefix.device)
    loaded = load_views(request.samples, request.views, batches, workers)
    for chunk, images in zip(chunks, loaded, strict=True):
        features = request.prefix.features(images, boundaries)
        if chunk is chunks[0] and not _make_room(request, lacking, features, decisions):
            return False
        for boundary, values in features.items():
            for number, own in zip(chunk, torch.split(values, views), strict=True):
                sample = request.samples[number]
                store = request.stores[sample.cache.folder]
                store.write(request.keys[boundary], sample.radiograph.digest, own)
        for _ in chunk:
            watcher.step()
    return True


def _make_room(
    request: Request, lacking: Sequence[int], features: Mapping[Part, Tensor], decisions: Decisions
) -> bool:
    """Whether what is lacking fits into every site's folder, judged by the first features."""
    keep = [*_kept_besides(request, decisions), *(request.keys[stage] for stage in features)]
    view = sum(values[0].numel() * values.element_size() for values in features.values())
    return all(
        request.stores[folder].make_room(view * request.views.count * len(own), keep)
        for folder, own in _by_folder(request, lacking).items()
    )


def _give_up(request: Request, watcher: Watcher, error: OSError) -> None:
    """Warn the owner, and leave a full disk to what must be written."""
    for store in request.stores.values():
        store.remove(list(request.keys.values()))
    watcher.problem(
        f"The frozen stages' activations cannot be cached ({error.strerror}); they are "
        "computed in every round instead, which takes longer. Make room in the cache, or name "
        "another place as [compute] cache in site.toml."
    )


def _kept_besides(request: Request, decisions: Decisions) -> list[FeatureKey]:
    """What this process keeps for another purpose, such as the validation images' features."""
    own = set(request.keys.values())
    return [key for key, kept in decisions.items() if kept and key not in own]


def _by_folder(request: Request, numbers: Iterable[int]) -> dict[Path, list[int]]:
    """These samples by the folder of the cache that they belong to."""
    found: dict[Path, list[int]] = defaultdict(list)
    for number in numbers:
        found[request.samples[number].cache.folder].append(number)
    return found


def _lacking(request: Request, boundaries: Collection[Part]) -> list[int]:
    """The samples without a file for one of these boundaries."""
    keys = [request.keys[boundary] for boundary in boundaries]
    return [
        number
        for number, sample in enumerate(request.samples)
        if not all(
            request.stores[sample.cache.folder].has(key, sample.radiograph.digest) for key in keys
        )
    ]
