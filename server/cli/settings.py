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

from shared.config import RunConfig
from shared.model.registry import former_settings
from shared.overrides import OWN_OPTIONS
from shared.setting import key_of
from shared.stage_values import RANGES, former_default

app = typer.Typer(add_completion=False)


@app.command()
def settings(
    json_output: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """List a run's settings: defaults, allowed values, and what each does.

    Example: fedthaw settings

    Pass one as --set KEY=VALUE to simulate, submit or study.
    """
    former = former_settings()
    items = [item for item in dataclasses.fields(RunConfig) if item.name not in OWN_OPTIONS]
    if json_output:
        documents = {key_of(item.name): _document(item) for item in items}
        documents |= {key: _former_document(*new) for key, new in former.items()}
        typer.echo(json.dumps(documents, indent=1))
        return
    table = Table("setting", "default", "allowed", "what it is", box=SIMPLE, padding=(0, 1, 0, 0))
    for item in items:
        # As Text, since brackets in a string would be markup to rich.
        help_text = Text(item.metadata["help"])
        table.add_row(key_of(item.name), _default(item), _allowed(item), help_text)
    for key, (setting, stage) in former.items():
        one = _former_document(setting, stage)
        allowed = f"{one['minimum']:g} to {one['maximum']:g}"
        table.add_row(key, f"{one['default']:g}", allowed, one["help"])
    Console().print(table)


def _former_document(setting: str, stage: str) -> dict[str, Any]:
    low, high = RANGES[setting]
    return {
        "default": former_default((setting, stage)),
        "help": f"earlier name of {setting} {stage}=...",
        "minimum": low,
        "maximum": high,
        "choices": (),
    }


def _document(item: dataclasses.Field[Any]) -> dict[str, Any]:
    return {"default": item.default, **item.metadata}


def _allowed(item: dataclasses.Field[Any]) -> str:
    low, high = item.metadata["minimum"], item.metadata["maximum"]
    if item.metadata["choices"]:
        return ", ".join(item.metadata["choices"])
    if low is not None:
        return f"{low:g} to {high:,.12g}"
    return "true, false" if isinstance(item.default, bool) else ""


def _default(item: dataclasses.Field[Any]) -> str:
    return str(item.default).lower() if isinstance(item.default, bool) else str(item.default)
