"""`fedthaw study`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from server.cli.paths import COORDINATOR, HomeOption
from server.results.study import Arm, StudyPlan
from server.study.plan import of_arm, read_arms, require_free, shipped_arms
from shared.config import parse_run_config
from shared.errors import ConfigError
from shared.overrides import parse_overrides
from shared.setting import Scalar

app = typer.Typer(add_completion=False)


@app.command()
def study(
    sites: Annotated[
        list[Path] | None,
        typer.Argument(help="Site folders to simulate; none: the coordinator's sites."),
    ] = None,
    arms: Annotated[
        str, typer.Option(help=f"A TOML file of arms, or one of: {', '.join(shipped_arms())}.")
    ] = "paper",
    folds: Annotated[int, typer.Option(min=2, max=100, help="Folds of each repeat.")] = 5,
    repeats: Annotated[int, typer.Option(min=1, max=1000, help="Repeats, each a seed.")] = 6,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A run setting of all arms; may repeat."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder of a simulated study.")] = Path(
        "runs/study"
    ),
    jobs: Annotated[int, typer.Option(min=1, help="Simulated runs side by side.")] = 1,
    each_site: Annotated[
        bool, typer.Option("--each-site", help="Add each site alone, and all data in one place.")
    ] = False,
    home: HomeOption = COORDINATOR,
    name: Annotated[str, typer.Option(help="The study's name at the coordinator.")] = "study",
    json_output: Annotated[bool, typer.Option("--json", help="Print study.json.")] = False,
) -> None:
    """Compare ways of training by repeated, patient-level, stratified cross-validation.

    Example: fedthaw study north east south --arms paper --folds 5 --repeats 6 --set weights=xrv

    Folds are drawn at each site, one federation a fold. Without folders the runs are submitted to
    the coordinator's sites. What is done is kept: the same command goes on where it was
    interrupted.
    """
    shared_settings = parse_overrides(settings or [])
    require_free(shared_settings, "--set")
    if sites:
        named = _named(sites)
        chosen = (*read_arms(arms), *(_each_site(list(named)) if each_site else ()))
        plan = StudyPlan(_checked(chosen, named, shared_settings), folds, repeats)
        _simulate(plan, named, shared_settings, out, jobs)
    else:
        from server.cli.study_deployed import submit_and_follow

        _require_no_simulation(each_site, jobs)
        plan = StudyPlan(_checked(read_arms(arms), None, shared_settings), folds, repeats)
        out = submit_and_follow(plan, shared_settings, home, name)
    _show(out, json_output)


def _require_no_simulation(each_site: bool, jobs: int) -> None:
    if each_site or jobs > 1:
        raise ConfigError(
            "--each-site and --jobs are for simulated studies; name site folders, or leave them "
            "out."
        )


def _simulate(
    plan: StudyPlan, sites: Mapping[str, Path], settings: Mapping[str, Scalar], out: Path, jobs: int
) -> None:
    from server.report.leave import write_study
    from server.run.folder import open_run
    from server.study.asking import open_sites
    from server.study.cells import Cell, run_cells
    from server.study.gather import study_result
    from server.study.kept_scores import require_kept_scores
    from server.study.plan_file import KeptPlan, is_new, keep_to_plan
    from server.study.ready import require_ready
    from shared.files import keep_private, private_files
    from shared.replies import own_sites

    def tell(cell: Cell, done: int, total: int) -> None:
        typer.echo(f"{done}/{total}: {cell.named()}", err=True)

    wanted = KeptPlan(plan, dict(settings), tuple(sites))
    is_new(out, wanted)  # says before anything is asked for or removed why it cannot be
    if out.is_dir() and (sentence := keep_private(out)) is not None:
        typer.echo(sentence, err=True)
    with own_sites(), private_files():
        require_kept_scores(plan, sites, out)
        require_ready(plan, sites, settings, out, lambda line: typer.echo(line, err=True))
        keep_to_plan(out, wanted)
        run_cells(plan, sites, settings, out, jobs, tell)
        first = open_run(Cell(plan.arms[0], 0, 0).folder(out))
        write_study(study_result(plan, out, open_sites(first.config, sites)), out)


def _show(out: Path, json_output: bool) -> None:
    from server.study.document import read_study
    from server.study.table import print_study

    if json_output:
        typer.echo((out / "study.json").read_text(encoding="utf-8"))
        return
    print_study(read_study(out), Console())
    typer.echo(f"Tables: {out}/study.md, arms.csv, comparisons.csv, study.tex", err=True)
    typer.echo(f"Report: {out}/report.html", err=True)


def _named(sites: list[Path]) -> dict[str, Path]:
    """The folders by their sites' names, which are the folders' names here."""
    for site in sites:
        if not (site / "site.toml").is_file():
            raise ConfigError(
                f"{site} is no site's folder: there is no site.toml in it; name folders as for "
                "`fedthaw simulate`."
            )
    named = {site.absolute().name: site.absolute() for site in sites}
    if len(named) < len(sites):
        raise ConfigError("Two site folders have the same name; rename one of them.")
    return named


def _each_site(sites: list[str]) -> list[Arm]:
    alone = [Arm(f"{site} alone", {}, (site,)) for site in sites]
    return [*alone, Arm("all data in one place", pooled=True)]


def _checked(
    arms: tuple[Arm, ...], sites: Mapping[str, Path] | None, settings: Mapping[str, Scalar]
) -> tuple[Arm, ...]:
    folders = [arm.folder for arm in arms]
    for arm in arms:
        if folders.count(arm.folder) > 1:
            raise ConfigError(
                f"Two arms are called '{arm.name}' or nearly so, and would share the folder "
                f"'{arm.folder}'; rename one of them (an arm of one site alone is named after the "
                "site's folder)."
            )
        if sites is not None and (unknown := set(arm.sites) - set(sites)):
            raise ConfigError(
                f"Arm '{arm.name}' names the site {min(unknown)}, but the folders given are "
                f"{', '.join(sites)}."
            )
        with of_arm(arm):
            parse_run_config({**settings, **arm.settings})
    return arms
