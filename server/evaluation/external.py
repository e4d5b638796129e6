"""A finished run's final model on cohorts that took no part in it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flwr.app import ArrayRecord

from server.external.performance import performance
from server.external.subgroups import Column, divide, require_few_groups
from server.federation.asking import Problem, ask
from server.federation.messaging import Question
from server.federation.replies import as_sentence
from server.results.external import (
    ALL,
    Chosen,
    CohortOutcome,
    ExternalEvaluation,
    SubgroupOutcome,
)
from server.results.shown import Audience
from server.run.folder import RunFolder, open_run
from server.run.ledger import read_rounds
from server.simulation.inprocess import local_grid, look_at_cohort
from shared.errors import ConfigError, RunError, SiteError
from shared.metrics.scored import Scored
from shared.model.pretrained import load_base
from shared.protocol.evaluate import MESSAGE_TYPE, EvaluateReply, EvaluateRequest
from shared.protocol.replies import DIVERGED, FAILED, own_sites
from shared.run.events import Noted, Warned, emit
from shared.run.finished import FinishedRun, read_finished_run
from shared.run.patient_scores import (
    COLUMNS,
    FOLDER,
    SEPARATOR,
    PatientScore,
    ScoreFile,
    read_scores,
)
from shared.storage.files import private_files


@dataclass(frozen=True, repr=False)
class ScoredCohort:
    """A cohort's patients with their scores, and what speaks against them."""

    scores: ScoreFile
    remarks: tuple[str, ...]

    def __repr__(self) -> str:
        """Without identifiers: a repr may end up in a log."""
        return f"ScoredCohort({self.scores!r})"


def score_cohorts(
    run: Path, sites: Sequence[Path], columns: Sequence[Column] = ()
) -> tuple[ScoredCohort, ...]:
    """All patients of each site folder under the run's final model, with what the columns say.

    All folders are looked at before the first is evaluated. The final model is itself the base of
    the one message that each site is sent, so nothing else of the run (its pretrained weights, its
    sites) needs to be there. Warns of what speaks against a cohort. ConfigError where the run is
    not finished, a cohort is given twice or a column makes too many groups; SiteError where a
    folder is not a site's, lacks a column, or its data is not valid.
    """
    finished, folder = read_finished_run(run), open_run(run)
    _look_at(sites, columns)
    found = []
    with own_sites(), private_files():
        for number, site in enumerate(sites, start=1):
            if len(sites) > 1:
                emit(Noted(f"Cohort {number} of {len(sites)}: {site}"))
            scores = _score(folder, site, columns)
            remarks = _remarks(finished, folder, site, scores.site)
            for sentence in remarks:
                emit(Warned(sentence))
            found.append(ScoredCohort(scores, remarks))
    return tuple(found)


def evaluate_cohorts(
    run: Path, cohorts: Sequence[ScoredCohort], columns: Sequence[Column] = ()
) -> ExternalEvaluation:
    """What the scores say, exactly: for the owner of the cohorts' folders.

    ConfigError where a column makes more groups than can be reported.
    """
    finished = read_finished_run(run)
    chosen = chosen_by(finished)
    outcomes = tuple(
        _outcome(one.scores.site, one.scores.finding, one.scores.patients, chosen, columns)
        for one in cohorts
    )
    return ExternalEvaluation(
        run=finished.stored.run,
        name=run.absolute().name,
        audience=Audience.OWNER,
        chosen=chosen,
        cohorts=tuple(
            replace(outcome, remarks=one.remarks)
            for outcome, one in zip(outcomes, cohorts, strict=True)
        ),
        pooled=_pooled(cohorts, chosen, columns) if len(cohorts) > 1 else None,
    )


def chosen_by(finished: FinishedRun) -> Chosen:
    """What the run chose on its validation patients."""
    if finished.calibration is None:
        return Chosen(caution=finished.caution)
    return Chosen(finished.calibration.points, finished.calibration.recalibration)


def _pooled(
    cohorts: Sequence[ScoredCohort], chosen: Chosen, columns: Sequence[Column]
) -> CohortOutcome:
    patients = tuple(patient for one in cohorts for patient in one.scores.patients)
    findings = dict.fromkeys(one.scores.finding for one in cohorts)
    return _outcome(ALL, " / ".join(findings), patients, chosen, columns)


def _outcome(
    name: str,
    finding: str,
    patients: Sequence[PatientScore],
    chosen: Chosen,
    columns: Sequence[Column],
) -> CohortOutcome:
    return CohortOutcome(
        name=name,
        finding=finding,
        images=sum(patient.images for patient in patients),
        performance=performance(scored_of(patients), chosen),
        subgroups=tuple(
            SubgroupOutcome(column.name, value, performance(scored_of(own), chosen))
            for column in columns
            for value, own in divide(column, patients).items()
        ),
    )


def scored_of(patients: Sequence[PatientScore]) -> Scored:
    """These patients by their exact scores."""
    return Scored.of([one.score for one in patients], [one.truth for one in patients])


def _score(folder: RunFolder, site: Path, columns: Sequence[Column]) -> ScoreFile:
    """Ask the site, which writes its patients' scores into a folder of this process alone."""
    weights = str(folder.model.absolute())
    config = replace(folder.config, weights=weights, weights_sha256="", sites="", pooled=False)
    request = EvaluateRequest(
        run=folder.run,
        base=load_base(config).digest,
        scope="all",
        after_round=0,
        thawed=(),
        final=False,
        delta=ArrayRecord(),
    )
    with tempfile.TemporaryDirectory(prefix="fedthaw-") as scores:
        node_config = {
            "site": str(site.absolute()),
            "weights": weights,
            FOLDER: scores,
            COLUMNS: SEPARATOR.join(column.name for column in columns),
        }
        grid = local_grid(config, nodes=1, node_config=node_config)
        contents = dict.fromkeys(grid.get_node_ids(), request.to_content())
        question = Question(MESSAGE_TYPE, "external", timeout=float("inf"))
        (answer,) = ask(grid, contents, question, lambda _, got: EvaluateReply.from_content(got))
        said = answer.said
        if isinstance(said, Problem):
            kind = SiteError if said.code in (FAILED, DIVERGED) else RunError
            raise kind(as_sentence(f"{site} could not be evaluated: {said.reason}"))
        (found,) = read_scores(Path(scores))
    return found


def _look_at(sites: Sequence[Path], columns: Sequence[Column]) -> None:
    folders = [site.resolve() for site in sites]
    for site, folder in zip(sites, folders, strict=True):
        if folders.count(folder) > 1:
            raise ConfigError(f"The cohort {site} is given twice; name each folder once.")
    names = []
    for site in sites:
        try:
            name, values = look_at_cohort(site, [column.name for column in columns])
        except SiteError as error:
            raise SiteError(f"{site} could not be evaluated: {error}") from error
        names.append(name)
        for column in columns:
            require_few_groups(column, values.get(column.name, ()))
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"Two cohorts are called '{name}'; rename one of them in its site.toml ([site] "
                "name)."
            )


def _remarks(finished: FinishedRun, folder: RunFolder, site: Path, name: str) -> tuple[str, ...]:
    """That the model has been trained on the cohort, and that the run did not evaluate it."""
    how = "its training patients are among those evaluated here, and the metrics flatter the model."
    trained_on = [Path(one).resolve() for one in folder.config.site_folders]
    found = []
    if site.resolve() in trained_on:
        found.append(f"{name} took part in this run: {how}")
    elif name in _names(folder, trained_on):
        found.append(f"A site called {name} took part in this run: if it is this one, {how}")
    return (*found, *((finished.caution,) if finished.caution else ()))


def _names(folder: RunFolder, trained_on: Sequence[Path]) -> set[str]:
    """The sites by their names; where all data was in one place the ledger does not have them."""
    names = {name for record in read_rounds(folder.ledger) for name in record.sites}
    return names | {path.name for path in trained_on}
