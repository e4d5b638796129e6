"""A site's own settings: `site.toml` parsed once into a frozen dataclass."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs

from client.declared import read_encoding, table_key
from client.imaging.limits import MAXIMUM_PIXELS
from client.policy.rules import Policy, parse_policy
from client.site_file import FILE_NAME, read_site_file, require_site_folder
from shared.deployment.names import SITE_NAME_RULE, is_site_name
from shared.deployment.notify import Notify, parse_notify
from shared.errors import ConfigError, SiteError
from shared.limits import MIN_CELL
from shared.outcome.encoding import AnyEncoding, LabelsEncoding
from shared.outcome.outcome import Outcome

APPROVAL, FAILED = "approval", "failed"
EVENTS = (APPROVAL, FAILED)
"""What a site's owner may be notified of: a plan that waits, a message that was not answered."""
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


@dataclass(frozen=True)
class SiteSettings:
    """What a site's owner decided; every path is absolute.

    `outcome` is the column that says it, "" where there is one for each of several labels.
    `encoding` holds outcome values as `normalised_value` writes them. `image` is
    None where DICOM Patient IDs are matched instead of file names. `weights` is the site's own
    location of the base checkpoint and overrides the run's.
    """

    folder: Path
    name: str
    images: Path
    labels: Path
    patient: str
    image: str | None
    outcome: str
    encoding: AnyEncoding
    covariate: str | None
    cache: Path
    device: str = "auto"
    weights: str | None = None
    teacher: str | None = None
    """This site's copy of the folder of a run that teaches."""
    min_cell: int = MIN_CELL
    max_rejected: float = 0.05
    sandbox: str = "auto"
    """Whether a bundle's code is confined: `auto`, where the system can, `required` or `off`."""
    maximum_pixels: int = MAXIMUM_PIXELS
    """Of one image; a larger one is set aside before it is decoded."""
    frontal_chest_only: bool = False
    """Whether images are left out whose header says another view, body part or modality."""
    features_limit: int = 20 * 10**9
    """Bytes on disk for cached activations of the frozen stages."""
    policy: Policy = field(default_factory=Policy)
    """What a run may do here."""

    @property
    def outcome_columns(self) -> tuple[str, ...]:
        """The columns that say the outcome: one, or of several labels one each."""
        if isinstance(self.encoding, LabelsEncoding):
            return tuple(one.column for one in self.encoding.columns)
        return (self.outcome,)


def load_site(folder: Path) -> SiteSettings:
    """Read `folder/site.toml`; relative paths in it are relative to `folder`.

    Raises SiteError for a missing folder or file, for what is not TOML, for unknown, missing or
    ill-typed keys, for overlapping outcomes, and for images or labels that do not exist.
    """
    folder, tables = _read_folder(folder)
    file = folder / FILE_NAME
    data, compute = tables["data"], tables.get("compute", {})
    encoding, table = read_encoding(file, data), table_key(file, data)
    name = _checked_name(file, tables["site"]["name"])
    _notify(file, tables)  # what is wrong there is said now
    return SiteSettings(
        folder=folder,
        name=name,
        images=_existing(file, "images", folder, data["images"], directory=True),
        labels=_existing(file, table, folder, data[table], directory=False),
        patient=data["patient"].strip(),
        image=_stripped(data.get("image")),
        outcome=data.get("outcome", "").strip(),
        encoding=encoding,
        covariate=_stripped(data.get("covariate")),
        cache=_absolute(folder, compute["cache"]) if "cache" in compute else _cache(folder, name),
        policy=parse_policy(tables.get("policy", {})),
        **_given(file, folder, tables),
    )


def read_site_name(folder: Path) -> str:
    """The name in `folder/site.toml`; SiteError as `load_site`, but images may be missing."""
    folder, tables = _read_folder(folder)
    return _checked_name(folder / FILE_NAME, tables["site"]["name"])


def read_outcome(folder: Path) -> Outcome:
    """What `folder/site.toml` declares; SiteError as `load_site`, but images may be missing."""
    folder, tables = _read_folder(folder)
    return read_encoding(folder / FILE_NAME, tables["data"]).outcome


def read_policy(folder: Path) -> Policy:
    """What `folder/site.toml` lets runs do; SiteError as `load_site`, but images may be missing."""
    _, tables = _read_folder(folder)
    return parse_policy(tables.get("policy", {}))


def read_notify(folder: Path) -> Notify:
    """Whom `folder/site.toml` wants notified, and of what; SiteError as `load_site`."""
    folder, tables = _read_folder(folder)
    return _notify(folder / FILE_NAME, tables)


def _notify(file: Path, tables: Mapping[str, Mapping[str, Any]]) -> Notify:
    try:
        return parse_notify(dict(tables.get("notify", {})), f"{file}: [notify]", EVENTS, EVENTS)
    except ConfigError as error:
        raise SiteError(str(error)) from error


def _read_folder(folder: Path) -> tuple[Path, dict[str, dict[str, Any]]]:
    folder = require_site_folder(folder)
    return folder, read_site_file(folder / FILE_NAME)


def _given(file: Path, folder: Path, tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The settings that site.toml may leave out, as far as it names them.

    Their defaults are written once, in `SiteSettings`.
    """
    readings: tuple[tuple[str, str, str, Callable[[Any], object]], ...] = (
        ("frontal_chest_only", "data", "frontal-chest-only", bool),
        ("device", "compute", "device", lambda value: _checked_device(file, value)),
        ("weights", "compute", "weights", lambda value: str(_absolute(folder, value))),
        ("teacher", "compute", "teacher", lambda value: str(_absolute(folder, value))),
        ("features_limit", "compute", "features", lambda value: int(float(value) * 10**9)),
        ("min_cell", "policy", "min-cell", int),
        ("max_rejected", "policy", "max-rejected", float),
        ("sandbox", "policy", "sandbox", str),
        ("maximum_pixels", "policy", "max-megapixels", lambda value: int(float(value) * 10**6)),
    )
    return {
        name: read(tables[section][key])
        for name, section, key, read in readings
        if key in tables.get(section, {})
    }


def _checked_name(file: Path, name: str) -> str:
    if not is_site_name(name):
        raise SiteError(f"{file}: name in [site] is {name!r}; it must be {SITE_NAME_RULE}.")
    return name


def _checked_device(file: Path, device: str) -> str:
    if not _DEVICE.fullmatch(device):
        raise SiteError(
            f"{file}: device in [compute] is {device!r}; it must be auto, cpu, cuda or cuda:N."
        )
    return device


def _existing(file: Path, key: str, folder: Path, text: str, *, directory: bool) -> Path:
    path = _absolute(folder, text)
    if not (path.is_dir() if directory else path.is_file()):
        kind = "folder" if directory else "file"
        raise SiteError(
            f"{file}: {key} in [data] is {text!r}, but there is no {kind} {path}; "
            f"name an existing {kind}, relative to the site's folder or absolute."
        )
    return path


def _absolute(folder: Path, text: str) -> Path:
    return Path(os.path.abspath(folder / os.path.expanduser(text)))


def _cache(folder: Path, name: str) -> Path:
    # Outside the site's folder: radiographs are often mounted read-only. The digest keeps two
    # sites of one name apart.
    root = os.environ.get("FEDTHAW_CACHE") or platformdirs.user_cache_path("fedthaw")
    digest = hashlib.sha256(str(folder).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return Path(os.path.abspath(os.path.expanduser(root))) / "sites" / f"{name}-{digest}"


def _stripped(text: str | None) -> str | None:
    return None if text is None else text.strip()
