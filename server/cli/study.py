"""`fedthaw study`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from server.study.plan import Arm, StudyPlan, read_arms, shipped_arms
from shared.config import parse_overrides, parse_run_config
from shared.errors import ConfigError
from shared.setting import Scalar

if TYPE_CHECKING:
    from server.study.results import StudyResult

app = typer.Typer(add_completion=False)


@app.command()
def study(
    sites: Annotated[list[Path], typer.Argument(help="Site folders, at least one.")],
    arms: Annotated[
        str, typer.Option(help=f"A TOML file of arms, or one of: {', '.join(shipped_arms())}.")
    ] = "paper",
    folds: Annotated[int, typer.Option(min=2, max=100, help="Folds of each repeat.")] = 5,
    repeats: Annotated[int, typer.Option(min=1, max=1000, help="Repeats, each a seed.")] = 6,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A run setting of all arms; may repeat."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The study's folder.")] = Path("runs/study"),
    jobs: Annotated[int, typer.Option(min=1, help="Runs side by side.")] = 1,
    each_site: Annotated[
        bool, typer.Option("--each-site", help="Add each site alone, and all data in one place.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print study.json.")] = False,
) -> None:
    """Compare ways of training by repeated, patient-level, stratified cross-validation.

    Example: fedthaw study north east south --arms paper --folds 5 --repeats 6 --set weights=xrv

    Folds are drawn at each site, one federation a fold. What is done is kept: the same command goes
    on where it was interrupted.
    """
    from shared.replies import own_sites

    named = _named(sites)
    shared_settings = parse_overrides(settings or [])
    chosen = (*read_arms(arms), *(_each_site(list(named)) if each_site else ()))
    plan = StudyPlan(_checked(chosen, named, shared_settings), folds, repeats)
    _keep_to_plan(out, plan, shared_settings)
    with own_sites():
        result = _run(plan, named, shared_settings, out, jobs)
    _write(result, out)
    if json_output:
        typer.echo((out / "study.json").read_text(encoding="utf-8"))
    else:
        from server.study.table import print_study

        print_study(result, Console())
        typer.echo(f"Tables: {out}/study.md, arms.csv, comparisons.csv, study.tex", err=True)
        typer.echo(f"Report: {out}/report.html", err=True)


def _run(
    plan: StudyPlan, sites: Mapping[str, Path], settings: Mapping[str, Scalar], out: Path, jobs: int
) -> StudyResult:
    from server.study.cells import Cell, run_cells
    from server.study.gather import study_result

    def tell(cell: Cell, done: int, total: int) -> None:
        where = f"repeat {cell.repeat + 1}, fold {cell.fold + 1}"
        typer.echo(f"{done}/{total}: {cell.arm.name}, {where}", err=True)

    run_cells(plan, sites, settings, out, jobs, tell)
    return study_result(plan, sites, out)


def _named(sites: list[Path]) -> dict[str, Path]:
    """The folders by their sites' names, which are the folders' names here."""
    named = {site.absolute().name: site.absolute() for site in sites}
    if len(named) < len(sites):
        raise ConfigError("Two site folders have the same name; rename one of them.")
    return named


def _each_site(sites: list[str]) -> list[Arm]:
    alone = [Arm(f"{site} alone", {}, (site,)) for site in sites]
    return [*alone, Arm("all data in one place", pooled=True)]


def _checked(
    arms: tuple[Arm, ...], sites: Mapping[str, Path], settings: Mapping[str, Scalar]
) -> tuple[Arm, ...]:
    for arm in arms:
        if unknown := set(arm.sites) - set(sites):
            raise ConfigError(
                f"Arm '{arm.name}' names the site {min(unknown)}, but the folders given are "
                f"{', '.join(sites)}."
            )
        parse_run_config({**settings, **arm.settings})
    return arms


def _keep_to_plan(out: Path, plan: StudyPlan, settings: Mapping[str, Scalar]) -> None:
    """Write the study's plan, or ConfigError where the folder holds another one."""
    text = json.dumps({"plan": asdict(plan), "settings": dict(settings)}, indent=1) + "\n"
    path = out / "plan.json"
    if path.exists():
        if path.read_text(encoding="utf-8") != text:
            raise ConfigError(
                f"{out} holds another study (other arms, folds, repeats or settings: see "
                "plan.json); choose another --out."
            )
        return
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _write(result: StudyResult, out: Path) -> None:
    from server.report.write import write_report
    from server.study.document import FILE, to_json
    from server.study.table import (
        ARMS,
        COMPARED,
        arm_rows,
        comparison_rows,
        to_csv,
        to_latex,
        to_markdown,
    )

    documents = {
        FILE: to_json(result),
        "study.md": to_markdown(result),
        "study.tex": to_latex(result),
        "arms.csv": to_csv(ARMS, arm_rows(result)),
        "comparisons.csv": to_csv(COMPARED, comparison_rows(result)),
    }
    for name, text in documents.items():
        (out / name).write_text(text, encoding="utf-8")
    write_report(out)
