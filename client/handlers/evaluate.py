"""Evaluation alone, of validation patients, of those of the test fold, or of all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from client.data.dataset import Sample
from client.evaluate import score_samples
from client.exchange import rebuild_model
from client.features.feature_set import FeatureSet
from client.handlers.check import check_external, check_run, require_end, unless_few
from client.handlers.features import SiteModel, evaluation_features
from client.model.frozen import base_units
from client.own_scores import write_own_scores
from client.part import tell_owner
from client.received import received_delta, remember_received
from client.scores import KeptScore, count_graded, keep_scores, scores_file
from client.train.state import forget_moments, load_state
from client.workspace import Workspace, network_of, training_samples
from shared.errors import ProtocolError, SiteError
from shared.metrics.classes.kinds import Counts, patients_by_class
from shared.model.between import between
from shared.model.manifest import manifest_of_parts
from shared.model.network import Network
from shared.protocol.evaluate import EvaluateReply, EvaluateRequest, Scope
from shared.run.events import SiteBusy, StepDone, emit
from shared.settings.config import RunConfig
from shared.settings.ending import SHARES, probe_parts, stays_near_probe
from shared.wire.arrays import Arrays
from shared.wire.increments import apply_increments


def evaluate_on_site(
    workspace: Workspace, config: RunConfig, request: EvaluateRequest
) -> EvaluateReply:
    """Evaluate the model received; what is counted leaves, each patient's score stays.

    PolicyError, before anything is computed, where a rule of the site refuses it; ProtocolError
    where it is of a model that the run's settings do not imply.
    """
    _require_implied(config, request)
    if request.scope == "all":
        check_external(workspace)
    else:
        check_run(workspace, config)
        require_end(workspace, config, request.after_round, request.model.thawed)
    started = time.monotonic()
    folder = workspace.state_folder(request.run)
    samples = _samples(workspace, config, request.scope)
    state = load_state(folder, request.model.number)
    federated = received_delta(network_of(workspace, config), config, request.model, state)
    model = rebuild_model(
        workspace,
        config,
        base=request.base,
        delta=evaluated_delta(workspace, config, request, federated),
        statistics=state.statistics,
    )
    kept = None
    if request.scope == "validation":
        rebuilt = SiteModel(workspace, config, model, base_units(model, workspace.base))
        kept = evaluation_features(rebuilt, request.after_round, samples)
    scores = evaluate_here(workspace, model, samples, config, kept)
    graded = count_graded(scores, is_grade=workspace.covariate_is_grade, outcome=workspace.outcome)
    graded = unless_few(workspace, graded)
    if request.scope != "all":
        _keep(workspace, request, scores)
    elif workspace.scores_wanted is not None:
        write_own_scores(workspace.scores_wanted, workspace.parts, scores)
    if request.final:
        # Under the round that it is of: where the evaluation is asked for again, it is that one's.
        forget_moments(folder, replace(state, round=min(state.round, request.after_round)))
    elif request.scope != "all":
        remember_received(folder, request.model.number, state, federated)
    counts = workspace.outcome.count(scores)
    return EvaluateReply(
        site=workspace.name,
        histogram=counts,
        suppress=must_suppress(counts, workspace.min_cell),
        seconds=time.monotonic() - started,
        graded=graded,
    )


def evaluated_delta(
    workspace: Workspace, config: RunConfig, request: EvaluateRequest, federated: Arrays
) -> Arrays:
    """What the message asks about: the model received, or one nearer to another model."""
    if request.nearer is None:
        return federated
    network, parts = network_of(workspace, config), request.nearer.probed
    manifest = manifest_of_parts(network, parts, config.batch_norm, config.update_dtype)
    start = apply_increments(request.nearer.start, {}, manifest)
    return between(start, federated, request.nearer.share)


def _require_implied(config: RunConfig, request: EvaluateRequest) -> None:
    """What was approved implies five points of one line; no others are answered for."""
    nearer = request.nearer
    if nearer is None:
        return
    implied = nearer.probed == probe_parts(config) and nearer.share in SHARES
    if not stays_near_probe(config) or not implied:
        raise ProtocolError("the point between two models is not one that the run's settings allow")


def evaluate_here(
    workspace: Workspace,
    model: Network,
    samples: Sequence[Sample],
    config: RunConfig,
    features: FeatureSet | None,
) -> list[KeptScore]:
    """Each patient's score, with progress."""
    emit(SiteBusy(workspace.name, "evaluating", -(-len(samples) // config.batch_size)))
    return score_samples(
        model,
        samples,
        config.batch_size,
        lambda: emit(StepDone(workspace.name)),
        features,
        workspace.outcome,
    )


def must_suppress(counts: Counts, min_cell: int) -> bool:
    """Whether a class is too small for this site's own values to be shown or kept."""
    return min(patients_by_class(counts)) < min_cell


def _samples(workspace: Workspace, config: RunConfig, scope: Scope) -> tuple[Sample, ...]:
    if scope != "all":
        samples = training_samples(workspace, config)
        # A small site may have nobody in this fold; its counts are then all zero.
        return samples.test if scope == "test" else samples.validation
    for part in workspace.parts:
        for sentence in part.admission.report.problems:
            tell_owner(part.settings.name, sentence)
    if not (everybody := workspace.all_samples()):
        raise SiteError(
            f"No image of {workspace.name} was admitted, so there is nothing to evaluate; "
            "`fedthaw site check` says why each was set aside."
        )
    return everybody


def _keep(workspace: Workspace, request: EvaluateRequest, scores: Sequence[KeptScore]) -> None:
    """Each owner's patients in that owner's cache: pooled sites keep theirs separately."""
    for part in workspace.parts:
        name = part.settings.name
        own = [score for score in scores if score.site == name]
        try:
            keep_scores(scores_file(part.run_folder(request.run), request.scope), own)
        except OSError as error:
            tell_owner(
                name,
                f"The scores of this run cannot be kept ({error.strerror}), so it cannot be "
                "compared with others; make room in the cache.",
            )
