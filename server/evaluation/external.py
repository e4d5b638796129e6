"""A finished run's final model on cohorts that took no part in it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from server.external.cohorts import ScoredCohort
from server.external.subgroups import Column, require_few_groups
from server.federation.asking import Problem, ask
from server.federation.messaging import Question
from server.federation.replies import as_sentence
from server.run.folder import RunFolder, open_run
from server.run.ledger import read_rounds
from server.simulation.inprocess import local_grid, look_at_cohort
from shared.errors import ConfigError, RunError, SiteError
from shared.model.pretrained import load_base
from shared.protocol.evaluate import MESSAGE_TYPE, EvaluateReply, EvaluateRequest
from shared.protocol.replies import DIVERGED, FAILED, own_sites
from shared.protocol.sent_model import NOTHING_SENT
from shared.run.events import Noted, Warned, emit
from shared.run.finished import read_finished_run
from shared.run.patient_scores import (
    COLUMNS,
    FOLDER,
    SEPARATOR,
    ScoreFile,
    read_scores,
)
from shared.storage.files import private_files


def score_cohorts(
    run: Path, sites: Sequence[Path], columns: Sequence[Column] = ()
) -> tuple[ScoredCohort, ...]:
    """All patients of each site folder under the run's final model, with what the columns say.

    All folders are looked at before the first is evaluated. The final model is itself the base of
    the one message that each site is sent, so nothing else of the run (its pretrained weights, its
    sites) needs to be there. Warns of what makes a cohort's results unreliable. ConfigError where
    the run is not finished, a cohort is given twice or a column makes too many groups; SiteError
    where a folder is not a site's, lacks a column, or its data is not valid.
    """
    finished, folder = read_finished_run(run), open_run(run)
    _look_at(sites, columns)
    found = []
    with own_sites(), private_files():
        for number, site in enumerate(sites, start=1):
            if len(sites) > 1:
                emit(Noted(f"Cohort {number} of {len(sites)}: {site}"))
            scores = _score(folder, site, columns)
            took_part = _took_part(folder, site, scores.site)
            remarks = tuple(filter(None, (took_part, finished.caution)))
            for sentence in remarks:
                emit(Warned(sentence))
            found.append(ScoredCohort(scores, remarks, took_part is not None))
    return tuple(found)


def _score(folder: RunFolder, site: Path, columns: Sequence[Column]) -> ScoreFile:
    """Ask the site, which writes its patients' scores into a folder of this process alone."""
    weights = str(folder.model.absolute())
    # Nothing is trained: what that alone takes (a teacher, a library) need not be here.
    config = replace(
        folder.config, weights=weights, weights_sha256="", sites="", pooled=False,
        teacher="", teacher_sha256="", optimizer="adamw",
    )  # fmt: skip
    request = EvaluateRequest(
        run=folder.run,
        base=load_base(config).digest,
        scope="all",
        after_round=0,
        final=False,
        model=NOTHING_SENT,
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
        (answer,) = ask(
            grid, contents, question,
            lambda _, got: EvaluateReply.from_content(got, config.predicts),
        )  # fmt: skip
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


def _took_part(folder: RunFolder, site: Path, name: str) -> str | None:
    """A sentence where the model has been trained on this cohort, or may have been."""
    how = "its training patients are among those evaluated here, and the metrics flatter the model."
    trained_on = [Path(one).resolve() for one in folder.config.site_folders]
    if site.resolve() in trained_on:
        return f"{name} took part in this run: {how}"
    if name in _names(folder, trained_on):
        return f"A site called {name} took part in this run: if it is this one, {how}"
    return None


def _names(folder: RunFolder, trained_on: Sequence[Path]) -> set[str]:
    """The sites by their names; where all data was in one place the ledger does not have them."""
    names = {name for record in read_rounds(folder.ledger) for name in record.sites}
    return names | {path.name for path in trained_on}
