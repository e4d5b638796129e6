"""Runs that were submitted: a folder each, in which the order to run lies.

`fedthaw submit` and `fedthaw stop` write here and the server process reads; whoever may write to
the coordinator's folder controls the federation, and nobody else does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from server.run.failure import read_failure
from server.run.process import STOP
from shared.errors import ConfigError
from shared.settings.config import RunConfig
from shared.settings.overrides import OWN_OPTIONS
from shared.settings.parse import parse_run_config
from shared.settings.setting import Scalar
from shared.storage.files import write_text_atomically
from shared.storage.json_file import DamagedFile, read_json, said, typed

ORDER = "order.json"
RESULTS = ("summary.json", "study.json")
"""What a run or a study writes last."""


class _Document(TypedDict):
    submitted: str
    bundle: str
    config: dict[str, Scalar]


@dataclass(frozen=True)
class Order:
    """A run that someone wants, and in which folder."""

    folder: Path
    submitted: str
    """UTC, ISO 8601; the order of the queue."""
    bundle: str
    """Digest of the bundle that its sites approve."""
    config: RunConfig

    @property
    def name(self) -> str:
        """What it was submitted as: the name of its folder."""
        return self.folder.name

    @property
    def state(self) -> str:
        """`complete`, `stopped`, `failed`, or `waiting` for being run or continued."""
        if any((self.folder / name).exists() for name in RESULTS):
            return "complete"
        if read_failure(self.folder) is not None:
            return "stopped" if (self.folder / STOP).exists() else "failed"
        return "waiting"


def write_order(order: Order) -> None:
    """Put the order where the server process finds it."""
    document = {
        "submitted": order.submitted,
        "bundle": order.bundle,
        "config": order.config.to_flat(),
    }
    order.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_text_atomically(order.folder / ORDER, json.dumps(document, indent=1) + "\n")


def read_order(folder: Path) -> Order:
    """The order in this folder; ConfigError where there is none or it is damaged."""
    try:
        document = typed(read_json(folder / ORDER), _Document)
        return Order(
            folder=folder,
            submitted=document["submitted"],
            bundle=document["bundle"],
            config=parse_run_config(document["config"]),
        )
    except FileNotFoundError:
        raise ConfigError(
            f"There is no run {folder.name} at this coordinator; `fedthaw server status` lists "
            "those that there are."
        ) from None
    except (OSError, DamagedFile, ConfigError) as error:
        raise ConfigError(
            f"The order of run {folder.name} cannot be read ({folder / ORDER}: {said(error)}); "
            "restore the file, or submit the run again under another name."
        ) from error


def read_orders(runs: Path) -> list[Order]:
    """All orders that can be read, the oldest first."""
    found = []
    for path in runs.glob(f"*/{ORDER}"):
        try:
            found.append(read_order(path.parent))
        except ConfigError:
            continue
    return sorted(found, key=lambda order: (order.submitted, order.name))


def settings_for_sites(config: RunConfig) -> dict[str, Scalar]:
    """What of the configuration travels: not the folders of the coordinator's machine."""
    flat = config.to_flat()
    return {k: v for k, v in flat.items() if k not in OWN_OPTIONS}
