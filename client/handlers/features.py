"""A site's features: which function of which images a message needs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class SiteModel:
    """The network of a message as this site has rebuilt it for the run's settings.

    `untouched` are the units whose parameters and buffers are the base's (`base_units`).
    """

    workspace: Workspace
    config: RunConfig
    network: Network
    untouched: Collection[str]


def training_features(model: SiteModel, plan: Plan, samples: Sequence[Sample]) -> FeatureSet | None:
    """What a round trains from; None where it trains from images.

    The network must have the round's units frozen already.
    """
    config = model.config
    boundary = training_boundary(config, plan)
    if not draws_from_views(config, boundary) or not _is_base(model, boundary):
        return None
    precision = choose_precision(config.precision, model.workspace.device)
    prefix = Prefix(model.network, precision, torch.float16)
    passes = training_passes(config, plan)
    return _prepare(model, samples, training_views(config), prefix, boundary, passes)


def evaluation_features(
    model: SiteModel, after_round: int, samples: Sequence[Sample]
) -> FeatureSet | None:
    """What a model is evaluated from, in float32; None where it is evaluated from images."""
    config = model.config
    boundary = evaluation_boundary(config.network, model.untouched)
    if not _is_base(model, boundary):
        return None
    passes = evaluation_passes(config, after_round, boundary)
    return _prepare(model, samples, plain_views(config), _exact_prefix(model), boundary, passes)


def base_features(model: SiteModel, samples: Sequence[Sample]) -> FeatureSet:
    """What enters the head for the images as they are, in float32.

    All units before the head must be the base's. Evaluation asks for the same of its images.
    """
    head = model.config.network.head
    # This run goes through them once, but other folds and seeds want the same images again.
    passes = {head: 2}
    return _prepare(model, samples, plain_views(model.config), _exact_prefix(model), head, passes)


def _exact_prefix(model: SiteModel) -> Prefix:
    """The network in evaluation mode, in float32."""
    device = model.workspace.device
    return Prefix(model.network.eval(), full_precision(device), torch.float32)


def _is_base(model: SiteModel, boundary: Part) -> bool:
    """Whether there are units before the boundary and they are the base's, as keys assume."""
    before = model.config.network.before(boundary)
    may_cache = model.config.feature_cache != "off"
    return may_cache and bool(before) and set(before) <= set(model.untouched)


def _prepare(
    model: SiteModel,
    samples: Sequence[Sample],
    views: Views,
    prefix: Prefix,
    boundary: Part,
    passes: Passes,
) -> FeatureSet:
    workspace, config = model.workspace, model.config
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
