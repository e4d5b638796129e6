"""The coordinator's Flower ServerApp."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from shared.libraries import undisturbed

with undisturbed():
    from server.federation.connected import registered_sites
    from server.report.at_end import write_report_at_end, write_study
    from server.run.failure import clear_failure, write_failure
    from server.run.log import said_in
    from server.run.process import RUN_VARIABLE, end_with_parent
    from server.run.progress import progress_in
    from server.study.deployed import ask_for_study
    from server.study.document import is_study
    from server.terminal.progress import reporting
    from server.tracking.choose import recorded, require_packages
    from server.training.coordinate import coordinate
    from shared.errors import FedThawError
    from shared.settings.config import RunConfig
    from shared.settings.parse import parse_run_config

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the federation that the run configuration describes, or ask its sites for a study."""
    config = _in_its_folder(parse_run_config(context.run_config))
    try:
        if config.out and is_study(Path(config.out)):
            with reporting(), said_in(config.out):
                result = ask_for_study(grid, config, registered_sites())
                write_study(result, Path(config.out))
        else:
            _train(grid, config)
        if config.out:
            clear_failure(Path(config.out))
    except FedThawError as error:
        if config.out:
            write_failure(Path(config.out), error)
        raise


def _train(grid: Grid, config: RunConfig) -> None:
    require_packages(config)
    with reporting(), progress_in(config.out), said_in(config.out), recorded(config):
        summary = coordinate(grid, config, registered_sites())
        write_report_at_end(Path(config.out or f"runs/{summary['run']}"))


def _in_its_folder(config: RunConfig) -> RunConfig:
    """With the run's folder of a server process, which does not travel among the settings."""
    folder = os.environ.get(RUN_VARIABLE)
    if not folder:
        return config
    end_with_parent()
    begun = (Path(folder) / "config.json").exists()
    return replace(config, out=folder, resume=begun)
