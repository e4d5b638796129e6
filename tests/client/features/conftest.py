"""Prefixes, keys and sets of features of the samples in `make_samples`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from client.data.dataset import Sample
from client.features.feature_set import FeatureSet
from client.features.keep import Request, Watcher
from client.features.prefix import Prefix
from client.features.store import FeatureKey, FeatureStore
from client.features.views import Views, training_views
from client.model.device import Precision
from shared.model.backbone import Part
from shared.model.network import Network
from shared.settings.config import RunConfig


def key_of(boundary: Part, views: Views) -> FeatureKey:
    return FeatureKey(
        "sha256:0", boundary, "micro", "32-pad-v2", views.describe(), "cpu float32", "float16"
    )


@pytest.fixture
def feature_request(
    tmp_path: Path, make_samples: Callable[[int], list[Sample]]
) -> Callable[..., Request]:
    """A request for the features of some samples, all in one store of a gigabyte."""

    def make(
        model: Network,
        config: RunConfig,
        passes: dict[Part, int],
        samples: Sequence[Sample] | None = None,
        limit: int = 10**9,
        dtype: torch.dtype = torch.float32,
    ) -> Request:
        chosen = make_samples(11) if samples is None else samples
        views = training_views(config)
        folders = {sample.cache.folder for sample in chosen}
        return Request(
            samples=chosen,
            views=views,
            prefix=Prefix(model, Precision("cpu", dtype), torch.float16),
            keys={stage: key_of(stage, views) for stage in passes},
            passes=passes,
            stores={f: FeatureStore(f / "features", limit) for f in folders},
        )

    return make


@pytest.fixture
def feature_set() -> Callable[..., FeatureSet]:
    """The features of a request at a boundary, kept or not."""

    def make(request: Request, boundary: Part, *, kept: bool) -> FeatureSet:
        return FeatureSet(
            request.samples, request.views, request.prefix, boundary, request.keys[boundary],
            request.stores, kept,
        )  # fmt: skip

    return make


@pytest.fixture
def watcher() -> SimpleNamespace:
    """A `Watcher` as `telling`, and what it was told: `begun`, `steps`, `problems`."""
    begun: list[int] = []
    steps: list[int] = []
    problems: list[str] = []
    telling = Watcher(begun.append, lambda: steps.append(1), problems.append)
    return SimpleNamespace(telling=telling, begun=begun, steps=steps, problems=problems)
