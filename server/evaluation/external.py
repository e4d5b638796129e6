"""A finished run's final model on a cohort that took no part in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord

from server.federation.asking import Problem, ask
from server.federation.messaging import Question
from server.federation.replies import as_sentence
from server.run.folder import RunFolder, open_run
from server.run.ledger import read_rounds
from server.simulation.inprocess import local_grid
from shared.errors import ConfigError, RunError, SiteError
from shared.metrics.summary import summarise
from shared.model.pretrained import load_base
from shared.protocol.evaluate import MESSAGE_TYPE, EvaluateReply, EvaluateRequest
from shared.protocol.replies import DIVERGED, FAILED
from shared.run.events import Warned, emit
from shared.run.finished import LOCAL_STATISTICS
from shared.settings.schedule import statistics_stay_at_sites


def evaluate_external(run: Path, site: Path) -> tuple[str, dict[str, Any]]:
    """The site's name and its metrics, as the object `pooled` of summary.json.

    Nothing is suppressed: who asks has the site's folder. The final model is itself the base of
    the one message that is sent, so nothing else of the run (its pretrained weights, its sites)
    needs to be there.
    ConfigError where the run is not finished.
    """
    folder = open_run(run)
    if not folder.model.exists():
        raise ConfigError(
            f"{run} has no final model yet: continue the run with `fedthaw simulate --out {run} "
            f"--resume`, or a coordinator's with `fedthaw submit --resume {run.name}`."
        )
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
    grid = local_grid(
        config, nodes=1, node_config={"site": str(site.absolute()), "weights": weights}
    )
    contents = dict.fromkeys(grid.get_node_ids(), request.to_content())
    question = Question(MESSAGE_TYPE, "external", timeout=float("inf"))
    (answer,) = ask(grid, contents, question, lambda _, reply: EvaluateReply.from_content(reply))
    said = answer.said
    if isinstance(said, Problem):
        kind = SiteError if said.code in (FAILED, DIVERGED) else RunError
        raise kind(as_sentence(f"{site} could not be evaluated: {said.reason}"))
    _warn_of_training_site(folder, site, said.site)
    if statistics_stay_at_sites(folder.config):
        emit(Warned(LOCAL_STATISTICS))
    return said.site, summarise(said.histogram).to_json()


def _warn_of_training_site(folder: RunFolder, site: Path, name: str) -> None:
    """A cohort that the model has been trained on flatters it."""
    how = "its training patients are among those evaluated here, and the metrics flatter the model."
    trained_on = [Path(one).resolve() for one in folder.config.site_folders]
    if site.resolve() in trained_on:
        emit(Warned(f"{name} took part in this run: {how}"))
    elif name in _names(folder, trained_on):
        emit(Warned(f"A site called {name} took part in this run: if it is this one, {how}"))


def _names(folder: RunFolder, trained_on: Sequence[Path]) -> set[str]:
    """The sites by their names; where all data was in one place the ledger does not have them."""
    names = {name for record in read_rounds(folder.ledger) for name in record.sites}
    return names | {path.name for path in trained_on}
