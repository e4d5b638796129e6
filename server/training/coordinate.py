"""One run from its configuration to its summary, begun or continued."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from flwr.app import RecordDict
from flwr.serverapp import Grid

from server.aggregation.strategy import build_aggregator
from server.disclosure.run import Disclosure
from server.evaluation.final import evaluate_final
from server.export.model_file import write_model
from server.federation.connected import Registry, nobody_registered
from server.federation.context import Federation
from server.federation.global_model import Reference, build_reference, full_state, initial_delta
from server.federation.quorum import require_enough_sites, wait_for_sites
from server.federation.replies import ReceivedDivergedError
from server.federation.roster import Roster
from server.federation.site_changes import warn_of_changes
from server.run.calibration import write_calibration
from server.run.checkpoint import Checkpoint
from server.run.eta import Expected, unmeasured
from server.run.evaluation_file import write_evaluation
from server.run.exact import remove_exact
from server.run.folder import RunFolder, locked, prepare_folder, stored_base, write_config
from server.run.ledger import RoundRecord, planned_rounds
from server.run.restoring import restore
from server.run.saving import kept_rounds, save_round
from server.run.summary import FinalEvaluation, build_summary, read_summary, write_summary
from server.schedule.check import check_schedule
from server.schedule.policy import policy_for
from server.training.declared_outcome import named_by_sites
from server.training.ending import conclude, with_ending
from server.training.estimate import UNTIL_IT_ENDS, MeasuringGrid, estimate_in_words, expected_bytes
from server.training.outcome import FinishedRound
from server.training.rollback import take_up_exclusions, undo_last_round
from server.training.rounds import run_round
from shared.errors import WeightsError
from shared.model.exchanged import batch_norm_statistics
from shared.model.pretrained import load_base
from shared.outcome.binary import BINARY
from shared.outcome.counts import are_hidden
from shared.run.events import Noted, RoundFinished, RunStarted, Warned, emit, show_download
from shared.settings.config import RunConfig
from shared.settings.schedule import last_round, may_end_early, total_rounds
from shared.storage.files import remove_leftovers
from shared.wire.arrays import Arrays, to_record
from shared.wire.packing import pack
from shared.wire.size import serialized_size


def coordinate(
    grid: Grid, config: RunConfig, registry: Registry = nobody_registered
) -> dict[str, Any]:
    """Run all rounds that are not done yet; returns the summary, which is also on disk."""
    folder = prepare_folder(config)
    require_enough_sites(folder.config)
    if folder.config.strategy == "fedprox" and folder.config.proximal_mu == 0:
        emit(Warned("strategy=fedprox with proximal-mu=0 is plain averaging; 0.01 is usual."))
    with locked(folder):
        remove_leftovers(folder.path)
        if folder.complete:
            remove_exact(folder.path)  # a process that was killed just then may have left it
            return read_summary(folder.summary)
        return _coordinate(grid, folder, registry)


def _coordinate(grid: Grid, folder: RunFolder, registry: Registry) -> dict[str, Any]:
    config = folder.config
    base = load_base(config, on_progress=show_download)
    if (begun_with := stored_base(folder)) not in (None, base.digest):
        raise WeightsError(
            f"This run began with the base {begun_with}, but weights={config.weights} now loads "
            f"{base.digest}; put the original file back."
        )
    if base.unused_head and base.source.startswith("file ") and config.predicts != BINARY:
        emit(
            Noted(
                f"The head of {base.source.removeprefix('file ')} has {base.unused_head} output(s) "
                f"and the run's outcome needs {config.outputs}: a new head is trained."
            )
        )
    reference = build_reference(config, base)
    check_schedule(config, reference)
    federation = _federation(grid, folder, reference, registry)
    sites = wait_for_sites(federation, set(registry().values()))
    if begun_with is None:
        write_config(folder, base.digest, base.source, named_by_sites(config))
    start, records = _restore(federation, folder)
    names = tuple(site.name for site in sites.values())
    most = planned_rounds(config, records)
    at_most = may_end_early(config) and most == total_rounds(config)
    emit(RunStarted(folder.run, names, most, start.round, str(folder.path), at_most))
    federation = _with_estimate(federation, names, start.round, most, at_most=at_most)
    delta, records, final = _run_to_the_end(federation, folder, start, records, names)
    write_model(folder.model, reference, delta, config)
    disclosure = federation.disclosure
    if final.counts is not None:
        write_evaluation(folder.path, final.counts)
    if config.predicts == BINARY:  # of which alone a threshold is chosen
        totals = not are_hidden(final.pooled)
        write_calibration(folder.path, disclosure.calibration(final.validation, totals=totals))
    summary = disclosure.summary(
        build_summary(folder.run, base.digest, records, final, quick=config.quick)
    )
    write_summary(folder.summary, summary)
    remove_exact(folder.path)
    return dict(summary.value)


def _with_estimate(
    federation: Federation, names: Sequence[str], done: int, last: int, *, at_most: bool
) -> Federation:
    """Say what the rounds after `done` up to `last` will cost; keep what is expected of each."""
    config, grid, reference = federation.config, federation.grid, federation.reference
    measured = grid.expected_seconds(config) if isinstance(grid, MeasuringGrid) else None
    size = expected_bytes(config, reference, len(names), done, last)
    ahead = None if measured is None else (*measured[done:last], *measured[-1:])
    words = estimate_in_words(ahead, size, last - done)
    emit(Noted(words + (UNTIL_IT_ENDS if at_most else "")))
    if measured:
        return replace(federation, expected=Expected(measured, measured=True))
    return replace(federation, expected=unmeasured(config, reference.network))


def _federation(
    grid: Grid, folder: RunFolder, reference: Reference, registry: Registry
) -> Federation:
    config = folder.config
    whole = {k: v.numpy() for k, v in full_state(reference, {}).items() if v.is_floating_point()}
    return Federation(
        grid=grid,
        registry=registry,
        run=folder.run,
        folder=folder.path,
        config=config,
        reference=reference,
        aggregator=build_aggregator(config, batch_norm_statistics(reference.network)),
        roster=Roster(),
        full_model_bytes=serialized_size(RecordDict({"arrays": pack(to_record(whole))})),
        disclosure=Disclosure.of(config, folder.run, folder.path),
    )


def _restore(federation: Federation, folder: RunFolder) -> tuple[Checkpoint, list[RoundRecord]]:
    """Where to go on, with what the aggregation and the requests remember of it."""
    take_up_exclusions(federation, folder)
    checkpoint, records = restore(folder)
    if checkpoint is None:
        delta = initial_delta(federation.reference, folder.config)
        checkpoint = Checkpoint(round=0, delta=delta, strategy={})
    federation.aggregator.state = dict(checkpoint.strategy)
    took_part = [(record.counted, record.plan["trainable"]) for record in records]
    federation.downlink.resume(federation.reference, checkpoint.received, took_part)
    return checkpoint, records


def _run_to_the_end(
    federation: Federation,
    folder: RunFolder,
    start: Checkpoint,
    records: list[RoundRecord],
    names: Collection[str],
) -> tuple[Arrays, list[RoundRecord], FinalEvaluation]:
    """The remaining rounds, the final model's delta and its evaluation.

    A round whose weights most sites cannot use is redone, each time without one
    more site, so this ends.
    """
    while True:
        expected = set(names) - federation.excluded.keys()
        try:
            end = _run_rounds(federation, folder, start, records, expected)
            took_part = _took_part(records, expected)
            model, ending = conclude(federation, records, end, took_part)
            delta = model.delta(federation)
            final = evaluate_final(federation, model, end.round, took_part)
            return delta, records, replace(final, ending=ending)
        except ReceivedDivergedError as error:
            federation.writer.finish()
            undo_last_round(federation, folder, records, error)
        start, records = _restore(federation, folder)


def _run_rounds(
    federation: Federation,
    folder: RunFolder,
    start: Checkpoint,
    records: list[RoundRecord],
    names: Collection[str],
) -> Checkpoint:
    """The remaining rounds; each is written while the next is under way, and before that ends."""
    config, state = federation.config, start
    policy = policy_for(config, federation.reference)
    with federation.writer as writer:
        for round_number in range(start.round + 1, total_rounds(config) + 1):
            plan = policy(round_number, records)
            if plan is None:
                break
            last = last_round(config, plan.round, plan.position, plan.length)
            if last < planned_rounds(config, records):
                emit(Noted(_ends_early(config, last)))
            expected = names if round_number == start.round + 1 else _took_part(records, names)
            delta, finished = run_round(federation, plan, state.delta, expected)
            warn_of_changes(finished.exact, records, for_others=federation.disclosure.for_others)
            records.append(finished.exact)
            strategy, received = federation.aggregator.state, federation.downlink.received
            after = Checkpoint(round_number, delta, dict(strategy), dict(received))
            state = with_ending(config, plan, state, after)
            left = federation.expected.seconds_left([one.seconds for one in records], last)
            writer.start(partial(_keep, folder, state, finished, kept_rounds(records), left))
        writer.finish()
    return state


def _ends_early(config: RunConfig, last: int) -> str:
    return (
        f"The {config.patience} rounds up to round {last - config.patience} gained nothing over "
        f"the {config.patience} before them: the run ends after round {last} of at most "
        f"{total_rounds(config)}."
    )


def _keep(
    folder: RunFolder, state: Checkpoint, finished: FinishedRound, keep: set[int], left: float
) -> None:
    """The writer's job: the round is reported as finished once it cannot be lost."""
    save_round(folder, state, finished.exact, finished.shown, keep)
    record = finished.shown.value
    emit(
        RoundFinished(
            round=record.round,
            rounds=planned_rounds(folder.config, [record]),
            loss=record.loss,
            auroc=record.auroc,
            bytes=record.bytes_down + record.bytes_up,
            seconds=record.seconds,
            seconds_left=left,
        )
    )


def _took_part(records: Sequence[RoundRecord], names: Collection[str]) -> Collection[str]:
    """Whom the next round waits for: who took part in the last one, at first who was there."""
    return records[-1].sites.keys() if records else names
