"""Candidates for a run's final model: each evaluated here, and counts of each sent."""

from __future__ import annotations

import time

from client.exchange import place, require_base
from client.handlers.check import check_run
from client.handlers.evaluate import evaluate_here, must_suppress
from client.handlers.features import SiteModel, evaluation_features
from client.model.frozen import base_units
from client.received import received_delta, remember_received
from client.train.state import load_state
from client.workspace import Workspace, network_of, training_samples
from shared.errors import ProtocolError
from shared.metrics.classes.kinds import Counts
from shared.model.between import between
from shared.model.manifest import manifest_of_parts
from shared.protocol.candidates import CandidatesReply, CandidatesRequest
from shared.settings.config import RunConfig
from shared.settings.ending import SHARES, probe_parts, stays_near_probe
from shared.settings.schedule import may_end
from shared.wire.arrays import Arrays
from shared.wire.increments import apply_increments


def candidates_on_site(
    workspace: Workspace, config: RunConfig, request: CandidatesRequest
) -> CandidatesReply:
    """Evaluate each candidate on the validation patients; no score of a patient is kept.

    PolicyError, before anything is computed, where a rule of the site refuses it; ProtocolError
    where the run's settings do not imply these candidates.
    """
    check_run(workspace, config)
    _require_implied(config, request)
    require_base(workspace, request.base)
    started = time.monotonic()
    network, folder = network_of(workspace, config), workspace.state_folder(request.run)
    manifest = manifest_of_parts(network, request.probed, config.batch_norm, config.update_dtype)
    before = load_state(folder, request.model.number)
    start = apply_increments(request.start, {}, manifest)
    end = received_delta(network, config, request.model, before)
    found = tuple(
        _counted(workspace, config, between(start, end, share), request.after_round)
        for share in request.shares
    )
    remember_received(folder, request.model.number, before, end)
    return CandidatesReply(
        site=workspace.name,
        counts=found,
        suppress=must_suppress(found[0], workspace.min_cell),
        seconds=time.monotonic() - started,
    )


def _counted(workspace: Workspace, config: RunConfig, delta: Arrays, after_round: int) -> Counts:
    model = network_of(workspace, config)
    samples = training_samples(workspace, config).validation
    place(workspace, model, delta)
    rebuilt = SiteModel(workspace, config, model, base_units(model, workspace.base))
    kept = evaluation_features(rebuilt, after_round, samples)
    return workspace.outcome.count(evaluate_here(workspace, model, samples, config, kept))


def _require_implied(config: RunConfig, request: CandidatesRequest) -> None:
    """ProtocolError unless the settings, which the owner approved, imply just this question."""
    implied = (probe_parts(config), SHARES)
    asked = (request.probed, request.shares)
    ends = may_end(config, request.after_round, request.model.thawed)
    if not stays_near_probe(config) or asked != implied or not ends:
        raise ProtocolError("the candidates asked about are not those of the run's settings")
