"""`fedthaw study`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from server.cli.options import COORDINATOR, HomeOption
from server.local.study import QUICK, USUAL, checked, plan_simulated, run_simulated
from server.results.plan import StudyPlan
from server.study.plan import read_arms, require_free, shipped_arms
from shared.errors import ConfigError
from shared.run.events import Event, Noted, Warned, listening
from shared.settings.file import given_settings
from shared.terminal.settings import ConfigOption, SetOption

app = typer.Typer(add_completion=False)
PLACE, NAME = Path("runs/study"), "study"
"""Of a study of site folders, and of one at a coordinator, where nothing else is asked for."""


def _usual(name: str) -> str:
    return f"{getattr(USUAL, name)}, with --quick {getattr(QUICK, name)}"


ArmsOption = Annotated[
    str | None,
    typer.Option(
        help=f"A TOML file of arms, or one of: {', '.join(shipped_arms())}.",
        show_default=_usual("arms"),
    ),
]
FoldsOption = Annotated[
    int | None,
    typer.Option(min=2, max=100, help="Folds of each repeat.", show_default=_usual("folds")),
]
RepeatsOption = Annotated[
    int | None,
    typer.Option(min=1, max=1000, help="Repeats, a seed each.", show_default=_usual("repeats")),
]
QuickOption = Annotated[
    bool,
    typer.Option(
        "--quick", help="A quick look: small settings in all arms; --set and --config win."
    ),
]

OutOption = Annotated[
    Path | None,
    typer.Option(help="The folder of a simulated study.", show_default=str(PLACE)),
]
NameOption = Annotated[
    str | None, typer.Option(help="The study's name at the coordinator.", show_default=NAME)
]


@app.command()
def study(
    sites: Annotated[
        list[Path] | None,
        typer.Argument(help="Site folders to simulate; if none, the coordinator's sites."),
    ] = None,
    arms: ArmsOption = None,
    folds: FoldsOption = None,
    repeats: RepeatsOption = None,
    quick: QuickOption = False,
    settings: SetOption = None,
    config: ConfigOption = None,
    out: OutOption = None,
    jobs: Annotated[int, typer.Option(min=1, help="Simulated runs in parallel.")] = 1,
    each_site: Annotated[
        bool, typer.Option("--each-site", help="Add each site alone, and all data in one place.")
    ] = False,
    home: HomeOption = COORDINATOR,
    name: NameOption = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print study.json.")] = False,
) -> None:
    """Compare ways of training by repeated, patient-level, stratified cross-validation.

    Example: fedthaw study north east south --arms paper --folds 5 --repeats 6 --set weights=xrv

    Each site divides its own patients into folds. Each arm is trained once for each fold of each
    repeat, so there are arms x folds x repeats runs. Without folders these are submitted to the
    coordinator's sites. Finished runs are kept: the same command continues where it was
    interrupted.
    """
    shared_settings = given_settings(config, settings)
    require_free(shared_settings, "--set or --config")
    if sites:
        _require_simulation(name)
        out = out or PLACE
        chosen = plan_simulated(
            sites, read_arms(arms) if arms else None, folds, repeats, shared_settings,
            each_site=each_site, quick=quick,
        )  # fmt: skip
        with listening(_say):
            run_simulated(chosen, out, jobs)
    else:
        from server.cli.study_deployed import submit_and_follow

        _require_no_simulation(each_site, quick, jobs, out)
        chosen_arms = checked(read_arms(arms or USUAL.arms), None, shared_settings)
        plan = StudyPlan(chosen_arms, folds or USUAL.folds, repeats or USUAL.repeats)
        out = submit_and_follow(plan, shared_settings, home, name or NAME)
    _show(out, json_output)


def _say(event: Event) -> None:
    """What is of the whole study; its sites are asked too often for their own lines."""
    if isinstance(event, Noted | Warned):
        typer.echo(event.text, err=True)


def _require_simulation(name: str | None) -> None:
    if name is not None:
        raise ConfigError(
            "--name is for studies at a coordinator; a study of site folders is named by --out."
        )


def _require_no_simulation(each_site: bool, quick: bool, jobs: int, out: Path | None) -> None:
    if each_site or quick or jobs > 1 or out is not None:
        raise ConfigError(
            "--each-site, --quick, --jobs and --out are for simulated studies; name site folders, "
            "or leave them out."
        )


def _show(out: Path, json_output: bool) -> None:
    from server.study.document import read_study
    from server.study.table import print_study, tables_of

    if json_output:
        typer.echo((out / "study.json").read_text(encoding="utf-8"))
        return
    result = read_study(out)
    print_study(result, Console())
    files = ", ".join(one.file for one in tables_of(result))
    typer.echo(f"Tables: {out}/study.md, {files}, study.tex", err=True)
    typer.echo(f"Report: {out}/report.html", err=True)
