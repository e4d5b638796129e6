"""A site's features: which function of which images a message needs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch

from client.data.dataset import Sample
from client.features.boundary import (
    Passes,
    draws_from_views,
    evaluation_boundary,
    evaluation_passes,
    training_boundary,
    training_passes,
)
from client.features.feature_set import FeatureSet
from client.features.keep import Request, Watcher, prepare_features
from client.features.prefix import Prefix
from client.features.store import FeatureKey, arithmetic_of
from client.features.views import Views, plain_views, training_views
from client.model.device import choose_precision, full_precision
from client.model.frozen import digest_of_base
from client.part import tell_owner
from client.workspace import Workspace
from shared.model.backbone import Part
from shared.model.network import Network
from shared.run.events import SiteBusy, StepDone, emit
from shared.settings.config import RunConfig
from shared.settings.schedule import Plan


def training_features(
    workspace: Workspace,
    config: RunConfig,
    model: Network,
    untouched: Collection[str],
    plan: Plan,
    samples: Sequence[Sample],
) -> FeatureSet | None:
    """What a round trains from; None where it trains from images.

    `untouched` units are the base's; `model` must have the round's units frozen already.
    """
    boundary = training_boundary(config, plan)
    if not draws_from_views(config, boundary) or not _is_base(config, boundary, untouched):
        return None
    precision = choose_precision(config.precision, workspace.device)
    prefix = Prefix(model, precision, torch.float16)
    passes = training_passes(config, plan)
    return _prepare(workspace, config, samples, training_views(config), prefix,
                    boundary, passes)  # fmt: skip


def evaluation_features(
    workspace: Workspace,
    config: RunConfig,
    model: Network,
    untouched: Collection[str],
    after_round: int,
    samples: Sequence[Sample],
) -> FeatureSet | None:
    """What a model is evaluated from, in float32; None where it is evaluated from images.

    `untouched` units are the base's.
    """
    boundary = evaluation_boundary(config.network, untouched)
    if not _is_base(config, boundary, untouched):
        return None
    prefix = Prefix(model.eval(), full_precision(workspace.device), torch.float32)
    passes = evaluation_passes(config, after_round, boundary)
    return _prepare(workspace, config, samples, plain_views(config), prefix,
                    boundary, passes)  # fmt: skip


def base_features(
    workspace: Workspace, config: RunConfig, model: Network, samples: Sequence[Sample]
) -> FeatureSet:
    """What enters the head for the images as they are, in float32.

    All of `model` before the head must be the base's. Evaluation asks for the same of its images.
    """
    head = config.network.head
    prefix = Prefix(model.eval(), full_precision(workspace.device), torch.float32)
    # This run goes through them once, but other folds and seeds want the same images again.
    return _prepare(workspace, config, samples, plain_views(config), prefix,
                    head, {head: 2})  # fmt: skip


def _is_base(config: RunConfig, boundary: Part, untouched: Collection[str]) -> bool:
    """Whether there are units before the boundary and they are the base's, as keys assume."""
    before = config.network.before(boundary)
    return config.feature_cache != "off" and bool(before) and set(before) <= set(untouched)


def _prepare(
    workspace: Workspace,
    config: RunConfig,
    samples: Sequence[Sample],
    views: Views,
    prefix: Prefix,
    boundary: Part,
    passes: Passes,
) -> FeatureSet:
    keys = {
        each: FeatureKey(
            prefix=digest_of_base(workspace.base, config.network.before(each)),
            boundary=each,
            backbone=config.backbone,
            preparation=samples[0].cache.preparation,
            views=views.describe(),
            arithmetic=arithmetic_of(prefix.device, prefix.precision.dtype),
            storage=str(prefix.storage).removeprefix("torch."),
        )
        for each in dict.fromkeys((*passes, boundary))
    }
    stores = {part.cache.folder: part.features for part in workspace.parts}
    watcher = Watcher(
        begin=lambda images: emit(SiteBusy(workspace.name, "computing features", images)),
        step=lambda: emit(StepDone(workspace.name)),
        problem=lambda sentence: tell_owner(workspace.name, sentence),
    )
    if config.feature_cache == "off":
        return FeatureSet(samples, views, prefix, boundary, keys[boundary], stores, kept=False)
    request = Request(samples, views, prefix, keys, passes, stores)
    return prepare_features(request, boundary, workspace.feature_decisions, watcher)
