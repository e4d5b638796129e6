"""How long each unit of a run's network was trained, from its ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from shared.model.backbone import Backbone
from shared.storage.json_file import DamagedFile, parse_json, typed


class _Plan(TypedDict):
    trainable: list[str]


class _Site(TypedDict):
    steps: int | None


class _Round(TypedDict):
    plan: _Plan
    sites: dict[str, _Site]


def steps_of_units(ledger: Path, network: Backbone) -> Mapping[str, int]:
    """By unit, the steps that each site made at least in the rounds in which it trained.

    A site that hides its steps made one a round or more. Empty where there is no ledger, or where
    it cannot be read as one of this network: nothing is known then.
    """
    found: Counter[str] = Counter()
    try:
        for line in ledger.read_text(encoding="utf-8").splitlines():
            record = typed(parse_json(line), _Round)
            fewest = min((site["steps"] or 1 for site in record["sites"].values()), default=0)
            found.update(dict.fromkeys(network.units_of(record["plan"]["trainable"]), fewest))
    except (OSError, ValueError, DamagedFile):
        return {}
    return found
