"""`fedthaw server run` and `status`: the coordinator's process."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from server.cli.paths import COORDINATOR, HomeOption
from shared.health import HealthOption, health_service
from shared.logs import speak
from shared.memory import keep_freed_memory


def run(
    home: HomeOption = COORDINATOR,
    host: Annotated[
        str, typer.Option(help="The address of this machine that sites reach; default all.")
    ] = "0.0.0.0",  # noqa: S104 (sites are on other machines; control is not on this port)
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Default: the one of `server init`.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Plain HTTP, with --host 127.0.0.1 only.")
    ] = False,
    health: HealthOption = None,
) -> None:
    """Serve the federation until Ctrl-C or SIGTERM, and run what is submitted.

    Example: fedthaw server run --home coordinator

    A run that was under way when the process ended goes on when it is started again.
    """
    from server.link.home import open_home, read_settings
    from server.link.process import Listening, serve

    opened = open_home(home)
    speak("fedthaw.server")
    keep_freed_memory()
    os.umask(0o077)  # nobody else on this machine reads what it writes
    chosen = port or read_settings(opened).port
    with health_service(health):
        serve(opened, Listening(host, chosen, encrypted=not insecure))


def status(
    home: HomeOption = COORDINATOR,
    json_output: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show the server, its sites and its runs at this moment.

    Example: fedthaw server status --home coordinator
    """
    from server.link.home import open_home

    document = _status(open_home(home).path)
    if json_output:
        typer.echo(json.dumps(document, indent=1))
    else:
        _print(document)


def _status(path: Path) -> dict[str, Any]:
    from dataclasses import asdict

    from server.link.home import Home
    from server.link.lock import is_served
    from server.link.orders import read_orders
    from server.link.registry import read_registry
    from server.link.status import read_status
    from server.run.progress import read_progress
    from shared.schedule import total_rounds

    home = Home(path)
    serving = is_served(home)
    known = read_status(home) if serving else {}
    connected = known.get("sites", {})
    runs = []
    for order in read_orders(home.runs):
        state = "running" if order.name == known.get("run") else order.state
        progress = read_progress(order.folder)
        runs.append(
            {
                "run": order.name,
                "state": state,
                "rounds": total_rounds(order.config),
                "bundle": order.bundle,
            }
            | ({"progress": asdict(progress)} if progress else {})
        )
    return {
        "serving": serving,
        "sites": {
            site.name: connected.get(site.name, {"connected": False, "since": None})
            for site in read_registry(home)
        },
        "runs": runs,
    }


def _print(document: dict[str, Any]) -> None:
    console = Console()
    console.print("Serving." if document["serving"] else "No server process is running here.")
    sites = Table("site", "connected", "since (UTC)", box=None, pad_edge=False)
    for name, site in document["sites"].items():
        since = (site["since"] or "").split(".")[0]
        sites.add_row(name, "yes" if site["connected"] else "no", since)
    console.print(sites)
    runs = Table("run", "state", "round", "AUROC", "asked", "answered", "not there",
                 box=None, pad_edge=False)  # fmt: skip
    for run_ in document["runs"]:
        progress = run_.get("progress", {})
        auroc = progress.get("auroc")
        missing = {*progress.get("absent", ()), *progress.get("lost", ())}
        runs.add_row(
            run_["run"],
            run_["state"],
            f"{progress.get('round', 0)}/{run_['rounds']}",
            "" if auroc is None else f"{auroc:.3f}",
            str(len(progress.get("asked", ()))),
            str(len(progress.get("answered", ()))),
            ", ".join(sorted(missing)),
        )
    console.print(runs)
    for run_ in document["runs"]:
        note = run_.get("progress", {}).get("note")
        if note and run_["state"] == "running":
            console.print(f"{run_['run']}: {note}", soft_wrap=True, markup=False)
