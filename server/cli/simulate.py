"""`fedthaw simulate`."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from server.cli.paths import default_folder, with_absolute_weights
from server.cli.recorders import TensorBoardOption, with_tensorboard
from server.run.folder import ended_before_it_began, open_run, prepare_folder
from server.run.lock import locked
from server.terminal.progress import reporting
from server.tracking.choose import require_packages
from shared.config import RunConfig, parse_run_config
from shared.errors import ConfigError
from shared.files import keep_private, private_files
from shared.model.registry import BACKBONES
from shared.overrides import OWN_OPTIONS, parse_overrides
from shared.replies import own_sites
from shared.setting import Scalar
from shared.stage_values import DEFAULTS, former_of, replaced

app = typer.Typer(add_completion=False)


class Backend(StrEnum):
    """The engine of a simulation."""

    in_process = "in-process"
    ray = "ray"


PHANTOM_HOSPITALS = ("north", "east", "south", "west")

DEMO_SETTINGS: dict[str, Scalar] = {
    "weights": "random",
    "backbone": "resnet18",
    "image-size": 112,
    "probe-rounds": 2,
    "rounds": 32,
    "thaw-at": "0.05,0.15,0.3",
    "lr-head": 2e-3,
    "rates": "0.002,0.002,0.002",
    "cutmix-probability": 0.0,
}
"""A run on phantoms where nothing else is asked for: no download, so a smaller network that learns
from nothing, with higher rates and earlier thawing than a pretrained one wants."""


@app.command()
def simulate(
    sites: Annotated[
        list[Path] | None,
        typer.Argument(help="Site folders; without any, four hospitals of phantoms are made."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A run setting; may repeat."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder; default runs/<run id>.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    pool: Annotated[
        bool, typer.Option("--pool", help="Train on all sites' data as if in one place.")
    ] = False,
    backend: Annotated[
        Backend, typer.Option(help="This process, or Flower's simulation engine.")
    ] = Backend.in_process,
    tensorboard: TensorBoardOption = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print summary.json.")] = False,
) -> None:
    """Run a whole federation on this machine.

    Example: fedthaw simulate north east south --set weights=xrv --set rounds=20 --out runs/first

    Interrupt it whenever you like; the same command with --resume goes on where it was.
    """
    overrides = parse_overrides(settings or []) | with_tensorboard(tensorboard)
    config = _resolve(sites or [], overrides, out, resume, pool)
    require_packages(config)
    if _is_complete(config):
        typer.echo(f"The run in {config.out} is complete; this is its result.", err=True)
    else:
        if not sites and not resume:
            _make_phantoms(_phantoms_beside(Path(config.out)))
        _run(config, backend)
    _show(Path(config.out), json_output)


def _is_complete(config: RunConfig) -> bool:
    """Whether the run to continue is; else its folder is made, or ConfigError says why not."""
    folder = prepare_folder(config)
    if folder.complete:
        return True
    if folder.path.is_dir() and (sentence := keep_private(folder.path)) is not None:
        typer.echo(sentence, err=True)
    with locked(folder):
        return False


def _run(config: RunConfig, backend: Backend) -> None:
    # Imported here: they bring torch, which a wrong setting need not wait for.
    if backend is Backend.ray:
        from server.simulation.ray import simulate_on_ray as engine
    else:
        from server.simulation.inprocess import simulate_in_process as engine
    from server.simulation.inprocess import require_ready_sites
    from server.training.weights import require_weights

    with own_sites(), private_files():
        with reporting():
            require_weights(config, fetch=True)
        if not os.environ.get("RAY_ADDRESS"):  # whose machines have folders and GPUs of their own
            require_ready_sites([Path(folder) for folder in config.site_folders], config)
        engine(config, config.simulated_sites)


def _resolve(
    sites: list[Path], overrides: dict[str, Scalar], out: Path | None, resume: bool, pool: bool
) -> RunConfig:
    """The whole configuration of this simulation, all paths absolute."""
    reserved = OWN_OPTIONS & set(overrides)
    if reserved:
        raise ConfigError(
            f"{', '.join(sorted(reserved))} cannot be set with --set here; name the site folders "
            "as arguments and use --out, --resume and --pool."
        )
    if resume and out is None:
        raise ConfigError("--resume needs --out with the folder of the run to continue.")
    folder = (out or default_folder()).absolute()
    if resume and not (sites and ended_before_it_began(folder)):
        return _stored(folder, _distinct(sites), overrides | ({"pooled": True} if pool else {}))
    if not sites:
        overrides = _demo_settings(overrides)
        sites = [_phantoms_beside(folder) / name for name in PHANTOM_HOSPITALS]
    folders = _distinct(sites)
    given: dict[str, Scalar] = {
        "min-sites": min(2, 1 if pool else len(folders)),
        **overrides,
        "out": str(folder),
        "sites": os.pathsep.join(map(str, folders)),
        "resume": resume,
        "pooled": pool,
    }
    return with_absolute_weights(parse_run_config(given))


def _demo_settings(given: dict[str, Scalar]) -> dict[str, Scalar]:
    """DEMO_SETTINGS with what is given in their place."""
    demo = dict(DEMO_SETTINGS)
    if network := BACKBONES.get(str(given.get("backbone", demo["backbone"]))):
        for key in DEFAULTS:
            demo |= former_of(key, str(demo[key]), network)
    return replaced(demo, given)


def _distinct(sites: list[Path]) -> list[Path]:
    """The absolute folders; ConfigError where one cannot be passed on, or is named twice."""
    folders = [site.absolute() for site in sites]
    seen: set[Path] = set()
    for folder in folders:
        if os.pathsep in str(folder):
            raise ConfigError(
                f"The site folder {folder} has '{os.pathsep}' in its path, by which folders are "
                "separated; rename it, or name it by a link."
            )
        if folder.resolve() in seen:
            raise ConfigError(f"The site folder {folder} is given twice; name each site once.")
        seen.add(folder.resolve())
    return folders


def _stored(folder: Path, sites: list[Path], given: dict[str, Scalar]) -> RunConfig:
    """The configuration that a run to be continued began with, and what is given now."""
    flat = open_run(folder).config.to_flat()
    names = set(map(str, sites))
    if sites and names != set(str(flat["sites"]).split(os.pathsep)):
        given = given | {"sites": os.pathsep.join(map(str, sites))}
    return with_absolute_weights(
        parse_run_config({**replaced(flat, given), "out": str(folder), "resume": True})
    )


def _phantoms_beside(run: Path) -> Path:
    return run.parent / "phantoms"


def _make_phantoms(folder: Path) -> None:
    from shared.phantoms.hospitals import write_hospitals

    typer.echo(f"No site folder given: making four synthetic hospitals in {folder}.", err=True)
    write_hospitals(folder)


def _show(folder: Path, json_output: bool) -> None:
    from server.run.summary import read_summary, readable_summary
    from server.terminal.table import print_summary

    summary = read_summary(folder / "summary.json")
    if json_output:
        typer.echo((folder / "summary.json").read_text(encoding="utf-8"), nl=False)
    else:
        with readable_summary(folder / "summary.json"):
            print_summary(Console(), summary, str(folder))
