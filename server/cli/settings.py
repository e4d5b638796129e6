"""`fedthaw settings`."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.errors import ConfigError
from shared.model.registry import former_settings
from shared.settings.config import RunConfig
from shared.settings.overrides import OWN_OPTIONS
from shared.settings.setting import key_of, value_in_words
from shared.settings.stage_values import RANGES, former_default

app = typer.Typer(add_completion=False)

_TOML_HEAD = """# Run settings of FedThaw with their defaults. Remove the # of one to change it,
# then pass the file as --config FILE to simulate, study or submit; --set wins over it."""


@app.command()
def settings(
    json_output: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
    toml_output: Annotated[
        bool, typer.Option("--toml", help="Print a file for --config, with each default.")
    ] = False,
) -> None:
    """List a run's settings: defaults, allowed values, and what each does.

    Example: fedthaw settings

    Pass one as --set KEY=VALUE to simulate, submit or study, or several in a file as --config FILE.
    """
    if json_output and toml_output:
        raise ConfigError("--json and --toml are two formats; leave one of them out.")
    items = [item for item in dataclasses.fields(RunConfig) if item.name not in OWN_OPTIONS]
    if json_output:
        documents = {key_of(item.name): _document(item) for item in items}
        typer.echo(json.dumps(documents, indent=1))
        return
    if toml_output:
        typer.echo("\n\n".join([_TOML_HEAD, *map(_toml_entry, items)]))
        return
    table = Table("setting", "default", "allowed", "what it is", box=SIMPLE, padding=(0, 1, 0, 0))
    for item in items:
        # As Text, since brackets in a string would be markup to rich.
        help_text = Text(item.metadata["help"])
        table.add_row(key_of(item.name), value_in_words(item.default), _allowed(item), help_text)
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


def _toml_entry(item: dataclasses.Field[Any]) -> str:
    """A setting as a commented line, below what it is and what it may be."""
    allowed = f" ({_allowed(item)})" if _allowed(item) else ""
    words = textwrap.wrap(f"{item.metadata['help']}{allowed}", 96)
    # A TOML text in basic quotes is written as JSON writes it.
    return "\n".join([*(f"# {line}" for line in words), f"#{key_of(item.name)} = {_as_toml(item)}"])


def _as_toml(item: dataclasses.Field[Any]) -> str:
    return (
        json.dumps(item.default) if isinstance(item.default, str) else value_in_words(item.default)
    )


def _allowed(item: dataclasses.Field[Any]) -> str:
    low, high = item.metadata["minimum"], item.metadata["maximum"]
    if item.metadata["choices"]:
        return ", ".join(item.metadata["choices"])
    if low is not None:
        return f"{low:g} to {high:,.12g}"
    return "true, false" if isinstance(item.default, bool) else ""
