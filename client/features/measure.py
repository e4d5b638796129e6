"""What the features of one boundary cost here: computing, writing and reading them, timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from client.data.dataset import Sample, loader_workers
from client.features.prefix import CHUNK, Prefix
from client.features.store import FeatureKey, FeatureStore
from client.features.views import Views, Wanted, stack_views
from client.features.worth import Cost, Costs
from shared.model.backbone import Part

Result = TypeVar("Result")

_TRIAL = "trial"
"""Stands for an image's digest while writing and reading are timed."""


def measure_costs(
    samples: Sequence[Sample],
    views: Views,
    prefix: Prefix,
    keys: Mapping[Part, FeatureKey],
    store: FeatureStore,
) -> Costs:
    """Seconds and bytes a view at each boundary, from one batch of views. Raises OSError.

    Where other processes load, their number shortens it.
    """
    wanted = [
        Wanted(number // views.count % len(samples), number % views.count)
        for number in range(CHUNK)
    ]
    loading, images = timed(partial(stack_views, samples, views, wanted), prefix.device)
    prefix.features(images, list(keys))  # the first pass chooses and compiles kernels
    loading /= max(1, loader_workers(prefix.device))
    return {stage: _cost(prefix, images, stage, key, store, loading) for stage, key in keys.items()}


def _cost(
    prefix: Prefix, images: Tensor, stage: Part, key: FeatureKey, store: FeatureStore,
    loading: float,
) -> Cost:  # fmt: skip
    computing, found = timed(partial(prefix.features, images, [stage]), prefix.device)
    features = found[stage]
    try:
        writing, _ = timed(partial(store.write, key, _TRIAL, features), prefix.device)
        reading, _ = timed(
            lambda: [store.read(key, _TRIAL, n) for n in range(CHUNK)], prefix.device
        )
    finally:
        store.path(key, _TRIAL).unlink(missing_ok=True)
    return Cost(
        compute=(loading + computing) / CHUNK,
        write=writing / CHUNK,
        read=reading / CHUNK,
        bytes=features[0].numel() * features.element_size(),
    )


def timed(work: Callable[[], Result], device: torch.device) -> tuple[float, Result]:
    """Seconds until the device has finished: what is asked of a GPU runs behind Python."""
    started = time.perf_counter()
    result = work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # which need not be the first one
    return time.perf_counter() - started, result
