"""Writes docs/configuration.md: its template, with tables made of the lists of settings."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from shared.settings.config import RunConfig
from shared.settings.fields import Settings
from shared.settings.setting import key_of

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = Path(__file__).with_name("configuration.md")
SOURCES = [ROOT / "shared" / "settings" / name for name in ("training_fields.py", "fields.py")]


def page() -> str:
    """The whole page."""
    tables = [_table(title, names) for title, names in _groups().items()]
    text = TEMPLATE.read_text(encoding="utf-8").replace("{settings}", "\n\n".join(tables))
    return f"<!-- Made of .ci/docs/configuration.md by `make pages`; change that file. -->\n{text}"


def _groups() -> dict[str, list[str]]:
    """Title -> names of the settings under it: the comments of the class, in its order."""
    groups: dict[str, list[str]] = {}
    lines = [line for file in SOURCES for line in file.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        if title := re.match(r"    # (.+)$", line):
            groups[title[1]] = names = []
        elif name := re.match(r"    (\w+): \w+ = setting\(", line):
            names.append(name[1])
    known = {item.name for item in dataclasses.fields(Settings)}
    listed = [name for names in groups.values() for name in names]
    if sorted(listed) != sorted(known):
        raise SystemExit("shared/settings/*fields.py: not each setting stands under a comment.")
    return groups


def _table(title: str, names: list[str]) -> str:
    items = {item.name: item for item in dataclasses.fields(RunConfig)}
    heading = f"## {title[0].upper()}{title[1:]}\n"
    head = ("| setting | default | allowed | what it is |", "|---|---|---|---|")
    return "\n".join([heading, *head, *(_row(items[name]) for name in names)])


def _row(item: dataclasses.Field) -> str:
    default = str(item.default).lower() if isinstance(item.default, bool) else str(item.default)
    code = f"`{default}`" if default else "(empty)"
    return f"| `{key_of(item.name)}` | {code} | {_allowed(item)} | {item.metadata['help']} |"


def _allowed(item: dataclasses.Field) -> str:
    if item.metadata["choices"]:
        return ", ".join(f"`{choice}`" for choice in item.metadata["choices"])
    if item.metadata["minimum"] is not None:
        return f"{item.metadata['minimum']:g} to {item.metadata['maximum']:,.12g}"
    return "`true`, `false`" if isinstance(item.default, bool) else ""


if __name__ == "__main__":
    (ROOT / "docs" / "configuration.md").write_text(page(), encoding="utf-8")
