"""Creating and opening a run's folder, and holding it for one process."""

from __future__ import annotations

import json
import platform
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from shared.errors import ConfigError, RunError
from shared.model.registry import former_settings
from shared.run.events import Warned, emit
from shared.run.finished import read_stored_run
from shared.settings.config import RunConfig
from shared.settings.setting import key_of
from shared.storage.files import (
    keep_private,
    lock_at_once,
    make_private_folder,
    write_text_atomically,
)

RESUMABLE_CHANGES = frozenset(
    {
        "resume",
        "out",
        "weights",
        "min_sites",
        "round_timeout",
        "retries",
        "reconnect_wait",
        "tensorboard",
    }
)
"""Settings that may differ when a run is continued: they do not change what is learnt."""

LOCK = ".lock"
"""The file that a process holds while it works on the run."""

_LEFT = frozenset(
    {LOCK, "failure.json", "flower.log", "order.json", "progress.json", "coordinator.log", "stop",
     "run.log", ".token"}
)  # fmt: skip
_PACKAGES = ("fedthaw", "flwr", "torch", "torchvision", "numpy", "pydicom", "scikit-learn")


@dataclass(frozen=True)
class RunFolder:
    """A run's place on disk, its identity and its whole configuration."""

    path: Path
    run: str
    config: RunConfig

    @property
    def summary(self) -> Path:
        """The stable result that other programs read."""
        return self.path / "summary.json"

    @property
    def model(self) -> Path:
        """The final full model."""
        return self.path / "model.safetensors"

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do: the summary is the last thing that a run writes."""
        return self.summary.exists() and self.model.exists()

    @property
    def ledger(self) -> Path:
        """A line a round."""
        return self.path / "ledger.jsonl"


def prepare_folder(config: RunConfig) -> RunFolder:
    """A new folder for this run, or with `resume` the one that is there.

    A run that ended before it began may be started or continued. Raises ConfigError where the
    folder holds a run already, is no run's, cannot be read, or where the settings of a continued
    run differ.
    """
    if config.resume and not config.out:
        raise ConfigError("resume is set without out; name the folder of the run to continue.")
    run = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    path = Path(config.out) if config.out else Path("runs") / run
    try:
        if (path / "order.json").exists():
            # The name that it was submitted under, and never the same again: where a folder is
            # removed and its name reused, sites still have what they kept of the run before.
            run = f"{path.name}-{secrets.token_hex(3)}"
        return _prepare(path, run, config)
    except OSError as error:
        raise ConfigError(
            f"The run's folder {path} cannot be read ({error.strerror}); check its permissions, or "
            "choose another with --out."
        ) from error


def _prepare(path: Path, run: str, config: RunConfig) -> RunFolder:
    if config.resume and not ended_before_it_began(path):
        return _continue(path, config)
    if (path / "config.json").exists():
        raise ConfigError(
            f"{path} already holds a run; continue it with --resume, or name another folder "
            "with --out."
        )
    if path.exists() and (not path.is_dir() or not all(map(_is_left, path.iterdir()))):
        raise ConfigError(f"{path} exists and is not empty; name another folder with --out.")
    return RunFolder(path, run, config)


def open_run(path: Path) -> RunFolder:
    """The folder of an earlier run; ConfigError if it is no run's or was written otherwise."""
    try:
        stored = read_stored_run(path)
    except ConfigError as error:
        if isinstance(error.__cause__, FileNotFoundError) and ended_before_it_began(path):
            raise ConfigError(
                f"The run in {path} ended before it began, so there is nothing to continue; start "
                "it again as before."
            ) from None
        raise
    return RunFolder(path, stored.run, stored.config)


def write_config(folder: RunFolder, base_digest: str, base_source: str, finding: str = "") -> None:
    """Write config.json: the whole resolved configuration, versions and the base's digest.

    `finding` is what is predicted as the sites name it, where the configuration does not say.
    """
    document = {
        "run": folder.run,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": folder.config.to_flat(),
        "base": {"digest": base_digest, "source": base_source},
        **({"finding": finding} if finding else {}),
        "versions": {"python": platform.python_version(), **_versions()},
    }
    try:
        make_private_folder(folder.path)
        write_text_atomically(folder.path / "config.json", json.dumps(document, indent=1) + "\n")
    except OSError as error:
        raise RunError(unwritable(folder, error)) from error


def stored_base(folder: RunFolder) -> str | None:
    """The base's digest that the run began with, None for a run that has not begun."""
    file = folder.path / "config.json"
    if not file.exists():
        return None
    return read_stored_run(folder.path).base or None


def _continue(path: Path, config: RunConfig) -> RunFolder:
    stored = open_run(path)
    given, before = config.to_flat(), stored.config.to_flat()
    # Settings of earlier versions only repeat others.
    free = {key_of(name) for name in RESUMABLE_CHANGES} | former_settings().keys()
    differing = [k for k in given if k not in free and given[k] != before[k]]
    if differing:
        changes = ", ".join(f"{k} was {before[k]!r} and is now {given[k]!r}" for k in differing)
        raise ConfigError(
            f"A continued run keeps its settings, but {changes}. Leave them as they were, or "
            "start a new run with another --out."
        )
    changed = {name: getattr(config, name) for name in RESUMABLE_CHANGES - {"resume", "out"}}
    return replace(stored, config=replace(stored.config, **changed))


def _is_left(path: Path) -> bool:
    """A file that a run may leave that ended before it began."""
    return path.name in _LEFT or (path.name.startswith(".") and path.name.endswith(".tmp"))


def ended_before_it_began(path: Path) -> bool:
    """Whether a run was started in this folder but has nothing that could be continued."""
    return (path / LOCK).exists() and all(map(_is_left, path.iterdir()))


def unwritable(folder: RunFolder, error: OSError) -> str:
    """The error that the operating system refuses to write there, and what would help."""
    return (
        f"The run's folder {folder.path} cannot be written ({error.strerror}); choose another "
        "with --out."
    )


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


PATIENCE_SECONDS = 5.0
"""How long the lock is waited for: the processes of a killed run may take a moment to end."""


@contextmanager
def locked(folder: RunFolder) -> Iterator[None]:
    """Hold the folder for this process; RunError where another one holds it.

    The folder is made where it is missing; ConfigError where that fails.
    """
    refusal = RunError(
        f"Another process is working on the run in {folder.path}; wait for it or stop it."
    )
    with ExitStack() as held:
        try:
            if (sentence := keep_private(folder.path)) is not None:
                emit(Warned(sentence))
            held.enter_context(lock_at_once(folder.path / LOCK, refusal, PATIENCE_SECONDS))
        except OSError as error:
            raise ConfigError(unwritable(folder, error)) from error
        yield
