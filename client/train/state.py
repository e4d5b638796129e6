"""What a site remembers from round to round: the model it received, moments, local statistics, and
what it owes.

One file a round in the site's cache, `rounds/<run>/<site>/0007.safetensors`. A round goes on from
the newest state before it, so a round that is asked twice, or a coordinator that went back to its
last checkpoint, finds what it needs. It never leaves the site.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from client.scores import is_scores_file
from shared.errors import SiteError
from shared.limits import DAYS_KEPT
from shared.storage.files import remove_leftovers, write_atomically
from shared.storage.tensor_file import write_over

KEPT_ROUNDS = 3
"""While a round is under way, the coordinator may not have the one before it on disk yet, and so
go back to the one before that: three are what a site may have to choose from."""


@dataclass(frozen=True)
class SiteState:
    """State after a round; round 0 is before the first."""

    round: int
    phase: str
    optimizer: Mapping[str, Tensor]
    """`<moment>/<parameter>`, as in AdamW `exp_avg/` and a key of the state dict."""
    statistics: Mapping[str, Tensor]
    """BatchNorm statistics that stay at the site."""
    update: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    """What the steps of the updates keep (`shared/update`), by the name of each one's state: as
    `residual`, what the dtype lost of those sent so far, which goes into the next one."""
    received: Mapping[str, Tensor] = field(default_factory=dict)
    """The federation's model that the round began with, as weights minus base."""


NOTHING = SiteState(round=0, phase="", optimizer={}, statistics={})


def load_state(folder: Path, before_round: int) -> SiteState:
    """The newest readable state of a round before this one, or `NOTHING`."""
    for round_number, path in sorted(_states(folder).items(), reverse=True):
        if round_number < before_round:
            try:
                return _read(path, round_number)
            except (SafetensorError, OSError):
                continue
    return NOTHING


def without_unused(folder: Path, before: SiteState, counted: int) -> SiteState:
    """The newest state, of what is left of updates only what was after round `counted`.

    Where its round is a later one, the coordinator has not used the update of that round, so what
    was left of it is no part of the next one. Nothing is left where round `counted` is not there.
    """
    if before.round == counted:
        return before
    path = _states(folder).get(counted)
    try:
        update = _read(path, counted).update if path is not None else {}
    except (SafetensorError, OSError):
        update = {}
    return replace(before, update=update)


def save_state(folder: Path, state: SiteState) -> None:
    """Write the state of a finished round over one of those that nobody will ask for again.

    Raises SiteError where the cache cannot be written.
    """
    parts = {
        "optimizer": state.optimizer,
        "statistics": state.statistics,
        "received": state.received,
        **state.update,
    }
    tensors = {
        f"{part}/{key}": value.numpy()
        for part, held in parts.items()
        for key, value in held.items()
    }
    path = folder / f"{state.round:04d}.safetensors"
    try:
        _make_private(folder)
        write_atomically(
            path,
            lambda temporary: write_over(temporary, tensors, {"phase": state.phase}),
            instead_of=_prune(folder, state.round),
        )
    except OSError as error:
        raise SiteError(
            f"The state of round {state.round} cannot be written to {folder} ({error}); make room "
            "there, or name another place as [compute] cache in site.toml.",
            shareable="its cache cannot be written; the site's own log says why",
        ) from error


def forget_moments(folder: Path, state: SiteState) -> None:
    """After the last round: keep of `state` the statistics alone, and nothing else.

    A finished run would otherwise leave gigabytes behind. The statistics stay, since the final
    evaluation may be asked for again. Where the disk is too full for that, all stays.
    """
    if state.statistics:
        try:
            save_state(folder, replace(state, optimizer={}, update={}, received={}))
        except SiteError:
            return
    for round_number, path in _states(folder).items():
        if round_number != state.round or not state.statistics:
            path.unlink(missing_ok=True)
    remove_leftovers(folder)
    for empty in (folder, folder.parent):
        if empty.is_dir() and not any(empty.iterdir()):
            empty.rmdir()


def forget_old_runs(runs: Path, keep: str, *, keep_scores: bool) -> None:
    """Remove what is left of runs of which nothing was written or asked for, for `DAYS_KEPT` days.

    With `keep_scores` the patients' scores stay: a study may go on after any time.
    """
    oldest = time.time() - DAYS_KEPT * 24 * 3600
    for run in runs.iterdir() if runs.is_dir() else ():
        if run.name == keep or not run.is_dir():
            continue
        paths = [run, *run.rglob("*")]
        if max(path.stat().st_mtime for path in paths) >= oldest:
            continue
        if not keep_scores:
            shutil.rmtree(run, ignore_errors=True)
            continue
        for path in paths:
            if path.is_file() and not is_scores_file(path):
                path.unlink(missing_ok=True)


def _make_private(folder: Path) -> None:
    """The site's folder, its run's and that of all runs, for this user alone."""
    for level in (folder.parent.parent, folder.parent, folder):
        level.mkdir(mode=0o700, parents=True, exist_ok=True)


def _states(folder: Path) -> dict[int, Path]:
    return {int(p.stem): p for p in folder.glob("*.safetensors") if p.stem.isdigit()}


def _read(path: Path, round_number: int) -> SiteState:
    with safe_open(path, framework="pt") as file:
        # Copies: safetensors maps the file, which may be written over while they are in use.
        tensors = {
            key: file.get_tensor(key).clone()
            for key in file.keys()  # noqa: SIM118 (no mapping)
        }
        phase = (file.metadata() or {}).get("phase", "")
    parts: dict[str, dict[str, Tensor]] = {"optimizer": {}, "statistics": {}, "received": {}}
    for key, value in tensors.items():
        part, _, name = key.partition("/")
        parts.setdefault(part, {})[name] = value
    optimizer, statistics = parts.pop("optimizer"), parts.pop("statistics")
    received = parts.pop("received")
    return SiteState(round_number, phase, optimizer, statistics, parts, received)


def _prune(folder: Path, coming: int) -> Path | None:
    """Remove the states that nobody will ask for once this round is there; one of them is left.

    That one is returned, to be written over.
    """
    remove_leftovers(folder)
    states = _states(folder)
    kept = sorted(number for number in states if number < coming)[-(KEPT_ROUNDS - 1) :]
    # A later round belongs to a past that the coordinator has gone back on.
    needless = [path for number, path in states.items() if number not in (*kept, coming)]
    for path in needless[1:]:
        path.unlink(missing_ok=True)
    return needless[0] if needless else None
