"""A proposed site.toml on a terminal: what was guessed and why, and what it gives."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from client.proposal.propose import Proposal
from shared.plain import shown

_VALUES = 12


def print_proposal(proposal: Proposal, console: Console) -> None:
    """Tables of the guesses and of the outcome's values, the counts, and what to check."""
    guesses = Table(title=f"Proposed for {proposal.settings.name}")
    for head in ("setting", "proposed", "why"):
        guesses.add_column(head, overflow="fold")
    for key, value in _guesses(proposal):
        guesses.add_row(key, Text(shown(value)), Text(shown(proposal.why[key])))
    console.print(guesses)
    console.print(_values(proposal))
    for sentence in _sentences(proposal):
        console.print(shown(sentence), highlight=False, markup=False, emoji=False, soft_wrap=True)


def _guesses(proposal: Proposal) -> list[tuple[str, str]]:
    settings, classes = proposal.settings, proposal.classes
    rows = [
        ("name", settings.name),
        ("images", str(settings.images)),
        ("labels", str(settings.labels)),
        ("patient", settings.patient),
        ("image", settings.image or "none"),
        ("outcome", settings.outcome),
    ]
    if classes.several:
        order = ", from low to high" if classes.ordinal else ""
        rows.append(("classes", f"{_few(tuple(classes.several))}{order}"))
    else:
        rows += [("positive", _few(classes.positive)), ("negative", _few(classes.negative))]
    return rows + ([("covariate", settings.covariate)] if settings.covariate else [])


def _few(values: Sequence[str]) -> str:
    more = len(values) - _VALUES
    return ", ".join([*values[:_VALUES], *([f"{more} more"] if more > 0 else [])])


def _values(proposal: Proposal) -> Table:
    """The outcome's values, how many rows have each, and what it counts as."""
    values = proposal.outcome.values.most_common()
    table = Table(title=Text(f"Values of {shown(proposal.outcome.name)}"))
    table.add_column("value", overflow="fold")
    table.add_column("rows", justify="right")
    table.add_column("counts as")
    classes = proposal.classes
    kinds = {value: word for word, own in classes.by_word.items() for value in own}
    other = "no class: excluded" if classes.several else "neither: excluded"
    for value, number in values[:_VALUES]:
        table.add_row(Text(shown(value)), str(number), Text(shown(kinds.get(value, other))))
    if len(values) > _VALUES:
        rest = sum(number for _, number in values[_VALUES:])
        table.add_row(f"{len(values) - _VALUES} more values", str(rest), "")
    if empty := len(proposal.outcome.cells) - proposal.outcome.filled:
        table.add_row("(empty)", str(empty), other)
    return table


def _sentences(proposal: Proposal) -> list[str]:
    found = proposal.found
    lines = [f"{found.rows} rows, {found.files} image files."]
    lines += [
        f"{word:<9} {patients} patients, {images} images"
        for word, patients, images in found.patients
    ]
    if proposal.unused:
        names = ", ".join(f"'{column.name}'" for column in proposal.unused[:15])
        more = len(proposal.unused) - 15
        lines.append(f"Not used: {names}{f' and {more} more' if more > 0 else ''}.")
    return [*lines, *(f"check     {sentence}" for sentence in proposal.checks)]
