"""Draws docs/pictures/{federation,round,rooms}.svg; `make pages`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from svg import INK, QUIET, Drawing

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"


def federation() -> Drawing:
    """Three hospitals and a coordinator: what stays, what travels."""
    drawing = Drawing(760, 312, "Images stay at the hospitals; weights and counts travel")
    stay = (
        "radiographs, outcomes,",
        "patient identifiers: these stay",
        "trains on its own machine",
    )
    for number, name in enumerate(("north", "east", "south")):
        x = 20 + 245 * number
        drawing.box(
            x, 190, 230, 102, f"Hospital {name}", stay, fill="site",
        )  # fmt: skip
        drawing.arrow(x + 115, 184, 380 + (number - 1) * 90, 106, both=True)
    drawing.box(
        230, 16, 300, 86, "Coordinator",
        ("averages the changed weights,", "adds up counts by score and class"), fill="hub",
    )  # fmt: skip
    drawing.text(20, 120, "down: the model so far", size=13, colour=QUIET)
    drawing.text(20, 139, "up: changed weights,", size=13, colour=QUIET)
    drawing.text(20, 158, "counts", size=13, colour=QUIET)
    drawing.text(740, 120, "TLS; sites open", size=13, colour=QUIET, anchor="end")
    drawing.text(740, 139, "all connections", size=13, colour=QUIET, anchor="end")
    return drawing


def round_() -> Drawing:
    """One round between the coordinator and a site."""
    drawing = Drawing(760, 646, "One round of a run")
    left, right = 190, 570
    for x, name, fill in ((left, "Coordinator", "hub"), (right, "Each site", "site")):
        drawing.line(x, 60, x, 626)
        drawing.box(x - 150, 16, 300, 44, name, fill=fill)
    steps: list[tuple[str, str, tuple[str, ...]]] = [
        ("hub", "Plan the round", ("which stages train, learning rates",)),
        ("down", "plan, and the model's change since the base", ()),
        ("site", "Decide", ("approved? within [policy] and quotas?",)),
        ("site", "Evaluate the incoming model", ("on the site's validation patients",)),
        ("site", "Train the thawed stages", ("frozen ones do not change:", "a digest proves it")),
        ("site", "Log what leaves", ("before it leaves",)),
        ("up", "changed weights, counts by score and class", ()),
        ("hub", "Check every reply", ("shapes, NaN, size, frozen digest;", "refuse by name")),
        ("hub", "Average; save the round", ("ledger and checkpoint; next round",)),
    ]  # fmt: skip
    y = 76.0
    for kind, title, lines in steps:
        if kind in ("down", "up"):
            ends = (left, right) if kind == "down" else (right, left)
            drawing.text(380, y + 12, title, size=13, anchor="middle", colour=INK)
            drawing.arrow(ends[0], y + 20, ends[1], y + 20)
            y += 34
            continue
        height = 36 + 19 * len(lines)
        drawing.box(
            (left if kind == "hub" else right) - 150, y, 300, height, title, lines, fill=kind
        )
        y += height + 8
    return drawing


def rooms() -> Drawing:
    """The three packages, and what each may import."""
    drawing = Drawing(760, 500, "The packages and their main folders")
    drawing.box(
        20, 130, 228, 256, "client: one site",
        ("imaging|file to picture", "data|folder to batches", "features|cached activations",
         "train|one round", "handlers|answers messages", "policy|what a run may do",
         "node|keys, sandbox", "predict|single images", "model|device, freezing",
         "cli|commands"),
        fill="site",
    )  # fmt: skip
    drawing.box(
        284, 130, 192, 256, "shared: both sides",
        ("settings|one list", "protocol|messages", "wire|tensors", "model|backbones",
         "update|clip, round", "metrics|from counts", "outcome|classes", "storage|files",
         "audit|chained logs", "terminal|commands"),
        fill="both",
    )  # fmt: skip
    drawing.box(
        512, 130, 228, 256, "server: coordinator",
        ("training|rounds of a run", "federation|sites, model", "aggregation|the average",
         "evaluation|counts, grades",
         "external|validation", "disclosure|what is shown", "report|the page",
         "study|arms, folds", "link|port, keys, jobs", "simulation|two engines", "cli|commands"),
        fill="hub",
    )  # fmt: skip
    drawing.arrow(248, 258, 282, 258)
    drawing.arrow(512, 258, 478, 258)
    drawing.box(
        165, 16, 430, 62, "fedthaw: functions for Python and notebooks",
        ("a thin face; nothing imports it",),
    )  # fmt: skip
    for x in (220, 380, 540):
        drawing.arrow(x, 78, 380 + (x - 380) * 1.45, 127)
    drawing.box(
        20, 416, 720, 62, "Flower",
        ("carries the messages; server/link and client/node use it, --backend ray its engine",),
        dashed=True,
    )  # fmt: skip
    return drawing


DRAWINGS: dict[str, Callable[[], Drawing]] = {
    "federation.svg": federation,
    "round.svg": round_,
    "rooms.svg": rooms,
}

if __name__ == "__main__":
    for name, draw in DRAWINGS.items():
        (PICTURES / name).write_text(draw().svg(), encoding="utf-8")
