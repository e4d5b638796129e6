"""Who this site is."""

from __future__ import annotations

from client.handlers.check import check_run
from client.train.state import forget_old_runs
from client.workspace import Workspace, training_samples
from shared.protocol.describe import SiteDescription
from shared.protocol.replies import reader_owns_the_site
from shared.settings.config import RunConfig


def describe_site(workspace: Workspace, config: RunConfig, run: str) -> SiteDescription:
    """Name, base and amount of training data; SiteError where the cohort cannot be trained on.

    PolicyError where a rule of the site refuses the run.
    """
    for folder in workspace.runs_folders:
        forget_old_runs(folder, run, keep_scores=reader_owns_the_site())
    check_run(workspace, config, report=True)
    samples = training_samples(workspace, config)
    return SiteDescription(
        name=workspace.name,
        base=workspace.base.digest,
        images=len(samples.train),
        patients=samples.patients(),
        data=workspace.data_digest(),
        outcome=str(workspace.outcome),
    )
