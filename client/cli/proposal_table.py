"""A proposed site.toml on a terminal: what was guessed and why, and what it gives."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from client.proposal.classes import OneColumn
from client.proposal.labels import Label, Labels
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
    outcome = proposal.outcome
    console.print(_labels(outcome) if isinstance(outcome, Labels) else _values(outcome))
    for sentence in _sentences(proposal):
        console.print(shown(sentence), highlight=False, markup=False, emoji=False, soft_wrap=True)


def _guesses(proposal: Proposal) -> list[tuple[str, str]]:
    settings, outcome = proposal.settings, proposal.outcome
    several_labels = isinstance(outcome, Labels)
    rows = [
        ("name", settings.name),
        ("images", str(settings.images)),
        ("table" if several_labels else "labels", str(settings.labels)),
        ("patient", settings.patient),
        ("image", settings.image or "none"),
    ]
    if isinstance(outcome, Labels):
        return [*rows, ("labels", ", ".join(label.name for label in outcome.each))]
    rows.append(("outcome", settings.outcome))
    classes = outcome.classes
    if classes.several:
        order = ", from low to high" if classes.ordinal else ""
        rows.append(("classes", f"{_few(tuple(classes.several))}{order}"))
    else:
        rows += [("positive", _few(classes.positive)), ("negative", _few(classes.negative))]
    return rows + ([("covariate", settings.covariate)] if settings.covariate else [])


def _few(values: Sequence[str]) -> str:
    more = len(values) - _VALUES
    return ", ".join([*values[:_VALUES], *([f"{more} more"] if more > 0 else [])])


def _values(outcome: OneColumn) -> Table:
    """The outcome's values, how many rows have each, and what it counts as."""
    column, classes = outcome.column, outcome.classes
    values = column.values.most_common()
    table = Table(title=Text(f"Values of {shown(column.name)}"))
    table.add_column("value", overflow="fold")
    table.add_column("rows", justify="right")
    table.add_column("counts as")
    kinds = {value: word for word, own in classes.by_word.items() for value in own}
    other = "no class: excluded" if classes.several else "neither: excluded"
    for value, number in values[:_VALUES]:
        table.add_row(Text(shown(value)), str(number), Text(shown(kinds.get(value, other))))
    if len(values) > _VALUES:
        rest = sum(number for _, number in values[_VALUES:])
        table.add_row(f"{len(values) - _VALUES} more values", str(rest), "")
    if empty := len(column.cells) - column.filled:
        table.add_row("(empty)", str(empty), other)
    return table


def _labels(labels: Labels) -> Table:
    """The labels with their columns, and how many rows are positive, negative or neither."""
    table = Table(title="Rows by label, and the values that mean it")
    for head in ("label", "column"):
        table.add_column(head, overflow="fold")
    for head in ("positive", "negative", "missing"):
        table.add_column(head, justify="right", overflow="fold")
    for label in labels.each:
        cells = (label.name, label.column.name, *_sides(label))
        table.add_row(*(Text(shown(cell)) for cell in cells))
    return table


def _sides(label: Label) -> tuple[str, str, str]:
    positive, negative, missing = label.rows
    classes = label.classes
    return (
        f"{positive} ({_few(classes.positive)})",
        f"{negative} ({_few(classes.negative)})",
        str(missing),
    )


def _sentences(proposal: Proposal) -> list[str]:
    found = proposal.found
    lines = [f"{found.rows} rows, {found.files} image files."]
    words = [word for word, _, _ in found.patients if isinstance(proposal.outcome, Labels)]
    width = max(map(len, [*words, "positive "]))
    lines += [
        f"{word:<{width}} {patients} patients, {images} images"
        for word, patients, images in found.patients
    ]
    if proposal.unused:
        names = ", ".join(f"'{column.name}'" for column in proposal.unused[:15])
        more = len(proposal.unused) - 15
        lines.append(f"Not used: {names}{f' and {more} more' if more > 0 else ''}.")
    return [*lines, *(f"check     {sentence}" for sentence in proposal.checks)]
