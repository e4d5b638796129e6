"""`fedthaw settings`."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.model.registry import former_settings
from shared.settings.config import RunConfig
from shared.settings.overrides import OWN_OPTIONS
from shared.settings.setting import key_of
from shared.settings.stage_values import RANGES, former_default

app = typer.Typer(add_completion=False)


@app.command()
def settings(
    json_output: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """List a run's settings: defaults, allowed values, and what each does.

    Example: fedthaw settings

    Pass one as --set KEY=VALUE to simulate, submit or study.
    """
    items = [item for item in dataclasses.fields(RunConfig) if item.name not in OWN_OPTIONS]
    if json_output:
        documents = {key_of(item.name): _document(item) for item in items}
        typer.echo(json.dumps(documents, indent=1))
        return
    table = Table("setting", "default", "allowed", "what it is", box=SIMPLE, padding=(0, 1, 0, 0))
    for item in items:
        # As Text, since brackets in a string would be markup to rich.
        help_text = Text(item.metadata["help"])
        table.add_row(key_of(item.name), _default(item), _allowed(item), help_text)
    for key, (setting, stage) in former_settings().items():
        low, high = RANGES[setting]
        table.add_row(
            key, f"{former_default((setting, stage)):g}", f"{low:g} to {high:g}",
            Text(f"earlier name of {setting} {stage}=..."),
        )  # fmt: skip
    Console().print(table)


def _document(item: dataclasses.Field[Any]) -> dict[str, Any]:
    former = [key for key, (new, _) in former_settings().items() if new == key_of(item.name)]
    return {"default": item.default, **item.metadata, **({"former": former} if former else {})}


def _allowed(item: dataclasses.Field[Any]) -> str:
    low, high = item.metadata["minimum"], item.metadata["maximum"]
    if item.metadata["choices"]:
        return ", ".join(item.metadata["choices"])
    if low is not None:
        return f"{low:g} to {high:,.12g}"
    return "true, false" if isinstance(item.default, bool) else ""


def _default(item: dataclasses.Field[Any]) -> str:
    return str(item.default).lower() if isinstance(item.default, bool) else str(item.default)
