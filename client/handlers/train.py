"""A round: evaluate the model received, train it, send back what changed."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence

from torch import Tensor

from client.data.dataset import Sample, steps_of_round
from client.exchange import (
    agreed_manifest,
    as_tensors,
    difference,
    local_statistics,
    rebuild_model,
    require_finite,
    snapshot,
    update_to_send,
)
from client.handlers.check import check_run, require_maps_to_normalise, require_planned
from client.handlers.evaluate import evaluate_here, must_suppress
from client.handlers.features import (
    SiteModel,
    base_features,
    evaluation_features,
    training_features,
)
from client.model.device import peak_memory
from client.model.frozen import base_units, digest_of_frozen
from client.part import TrainingSamples
from client.received import received_delta
from client.train.logistic import fit_head
from client.train.state import SiteState, load_state, save_state, without_unused
from client.train.trainer import Trained, train_round
from client.workspace import Workspace, network_of, teacher_of, training_samples
from shared.errors import FedThawError
from shared.metrics.classes.kinds import Counts
from shared.model.backbone import Part
from shared.model.exchanged import batch_norm_statistics
from shared.model.freezing import proven_keys, set_trainable, state_digest
from shared.model.network import Network
from shared.protocol.train import TrainReply, TrainRequest
from shared.run.events import SiteBusy, StepDone, emit
from shared.settings.config import RunConfig
from shared.settings.schedule import Plan
from shared.update.step import Passage


def train_on_site(workspace: Workspace, config: RunConfig, request: TrainRequest) -> TrainReply:
    """Evaluate the model received, train it as planned, return what changed and the counts.

    PolicyError, before anything is computed, where a rule of the site refuses it.
    """
    check_run(workspace, config)
    require_planned(workspace, config, request.plan)
    plan, folder = request.plan, workspace.state_folder(request.run)
    samples = _samples(workspace, config, plan)
    before = without_unused(folder, load_state(folder, plan.round), request.model.seen)
    federated = received_delta(network_of(workspace, config), config, request.model, before)
    network = rebuild_model(
        workspace, config, base=request.base, delta=federated, statistics=before.statistics
    )
    manifest = agreed_manifest(network, config, plan.trainable, request.expects)
    model = SiteModel(workspace, config, network, base_units(network, workspace.base))
    frozen = digest_of_frozen(network, workspace.base, plan.trainable, model.untouched)
    proven = _proven(network, plan, config.batch_norm, frozen)

    started = time.monotonic()
    counts = _counted(model, plan, samples.validation)
    evaluated = time.monotonic()
    keys = [spec.name for spec in manifest]
    received = snapshot(network, keys)
    trained = _train(model, samples.train, request, before)
    _require_frozen(model, plan.trainable, frozen)
    delta = difference(snapshot(network, keys), received)
    require_finite(delta, plan.round)
    sent, update = update_to_send(delta, manifest, before.update, _passage(model, request))
    after = _state_after(model, plan, before, trained, update, as_tensors(federated))
    save_state(folder, after)
    done = time.monotonic()
    return TrainReply(
        site=workspace.name,
        round=plan.round,
        frozen=proven,
        delta=sent,
        images=len(samples.train),
        patients=samples.patients(),
        steps=trained.steps,
        loss=trained.loss,
        histogram=counts,
        suppress=must_suppress(counts, workspace.min_cell),
        train_seconds=done - evaluated,
        evaluate_seconds=evaluated - started,
        peak_memory=peak_memory(workspace.device),
        continued_from=before.round if before.phase == plan.phase else 0,
        signal_to_noise=trained.signal_to_noise,
    )


def _samples(workspace: Workspace, config: RunConfig, plan: Plan) -> TrainingSamples:
    """The site's part of the run's patients; SiteError where too few images are to train on."""
    samples = training_samples(workspace, config)
    require_maps_to_normalise(workspace, config, plan, samples.train)
    return samples


def _counted(model: SiteModel, plan: Plan, samples: Sequence[Sample]) -> Counts:
    """The validation patients by their scores under the model received."""
    kept = evaluation_features(model, plan.round - 1, samples)
    scores = evaluate_here(model.workspace, model.network, samples, model.config, kept)
    return model.workspace.outcome.count(scores)


def _passage(model: SiteModel, request: TrainRequest) -> Passage:
    """Which update is sent: of which site, run and round."""
    statistics = batch_norm_statistics(model.network)
    name = model.workspace.name
    return Passage(model.config, request.run, request.plan.round, name, statistics)


def _state_after(
    model: SiteModel,
    plan: Plan,
    before: SiteState,
    trained: Trained,
    update: Mapping[str, Mapping[str, Tensor]],
    received: Mapping[str, Tensor],
) -> SiteState:
    """What the site remembers of the round; `update` is what the steps of its update keep."""
    changed = {*plan.thawed, *plan.trainable}
    statistics = local_statistics(model.network, changed, model.config.batch_norm)
    # Units that pause in this round have no update; what was kept of theirs stays.
    kept = {name: {**before.update.get(name, {}), **own} for name, own in update.items()}
    return SiteState(plan.round, plan.phase, trained.moments, statistics, kept, received)


def _proven(model: Network, plan: Plan, batch_norm: str, frozen: str) -> str:
    """The digest that leaves: `frozen`, but without statistics that only this site has."""
    backbone = model.backbone
    if batch_norm != "local" or backbone.units_of(plan.thawed) <= backbone.units_of(plan.trainable):
        return frozen
    state = model.state_dict()
    keys = proven_keys(model, plan.trainable, plan.thawed, batch_norm)
    return state_digest({key: state[key] for key in keys})


def _require_frozen(model: SiteModel, trainable: Collection[Part], digest: str) -> None:
    """FedThawError where the frozen units are no longer those of before the training."""
    network, base = model.network, model.workspace.base
    frozen = network.backbone.other_units(trainable)
    still = base_units(network, base, frozen.intersection(model.untouched))
    if digest_of_frozen(network, base, trainable, still) != digest:
        raise FedThawError("A frozen unit changed while training; please report this fault.")


def _train(
    model: SiteModel, samples: Sequence[Sample], request: TrainRequest, before: SiteState
) -> Trained:
    workspace, config, network = model.workspace, model.config, model.network
    if config.schedule == "logistic":
        emit(SiteBusy(workspace.name, "fitting", 0))
        return fit_head(network, base_features(model, samples), config)
    set_trainable(network, request.plan.trainable, config.batch_norm)
    features = training_features(model, request.plan, samples)
    steps = steps_of_round(len(samples), config)
    emit(SiteBusy(workspace.name, "training", steps))
    return train_round(
        network,
        samples,
        request.plan,
        config,
        stream=workspace.name,
        moments=before.optimizer if before.phase == request.plan.phase else {},
        features=features,
        outcome=workspace.outcome,
        teacher=teacher_of(workspace, config),
        on_step=lambda: emit(StepDone(workspace.name)),
    )
