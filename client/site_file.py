"""`site.toml` as it stands: read, and its sections, keys and types checked."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from client.policy.rules import allowed_values, policy_keys
from shared.errors import SiteError
from shared.outcome.binary import BINARY
from shared.storage.toml_file import parse_toml

FILE_NAME = "site.toml"
_NAMED = 5

BINARY_KEYS = tuple(one.word for one in BINARY.classes)
LABEL_KEYS = ("column", *BINARY_KEYS)
"""What [data.labels] says of each label."""

# Section -> key -> kind of value. A key in REQUIRED has no default.
_KEYS: Mapping[str, Mapping[str, str]] = {
    "site": {"name": "text"},
    "data": {
        "images": "text",
        "labels": "labels",
        "table": "text",
        "patient": "text",
        "image": "text",
        "outcome": "text",
        **dict.fromkeys(BINARY_KEYS, "values"),
        "classes": "classes",
        "ordinal": "flag",
        "covariate": "text",
        "frontal-chest-only": "flag",
    },
    "compute": {
        "device": "text",
        "cache": "text",
        "weights": "text",
        "teacher": "text",
        "features": "gigabytes",
    },
    "policy": {
        "min-cell": "whole",
        "max-rejected": "share",
        "sandbox": "sandbox",
        "max-megapixels": "megapixels",
        **policy_keys(),
    },
    # Whom to tell of what; `shared/deployment/notify.py` checks the values.
    "notify": dict.fromkeys(("command", "webhook", "on", "seconds"), "notify"),
}
_REQUIRED = (
    ("site", "name"),
    ("data", "images"),
    ("data", "patient"),
)
_EXPECTED = {
    "text": "text in quotes that is not empty",
    "values": 'a list of texts or numbers that is not empty, such as ["moderate", "severe"]',
    "whole": "an integer of at least 1",
    "share": "a number from 0 to 1",
    "gigabytes": "a number of gigabytes, 0 for none",
    "sandbox": '"auto", "required" or "off"',
    "megapixels": "a number of megapixels from 0.01 to 1000",
    "count": "an integer, 0 or more",
    "hours": "a number of hours, 0 for no limit",
    "flag": "true or false",
    "classes": "a table [data.classes] with a list of values for each class, such as none = [0]",
    "labels": (
        "the name of the table's file, or a table [data.labels] in which each label has column, "
        "positive and negative, such as "
        'effusion = { column = "effusion", positive = [1], negative = [0] }'
    ),
}


_EXPECTED_INSIDE = {
    "classes": f"the values that mean this class, {_EXPECTED['values']}",
    "labels": (
        'its column and values, such as { column = "effusion", positive = [1], negative = [0] }'
    ),
}


def required(file: Path, section: str, key: str) -> SiteError:
    """The error where a key is missing."""
    expected = _EXPECTED[_KEYS[section][key]]
    return SiteError(f"{file}: {key} is missing in [{section}]; add `{key} = ...`, {expected}.")


def read_site_file(file: Path) -> dict[str, dict[str, Any]]:
    """The sections of `site.toml`; required keys are there and every value has its type.

    Raises SiteError for a file that is missing, unreadable or no TOML, and for unknown, missing
    or ill-typed keys.
    """
    tables = _read_toml(file)
    _check_keys(file, tables)
    return tables


def require_site_folder(folder: Path) -> Path:
    """The folder, absolute; SiteError where there is none, or no `site.toml` in it."""
    folder = Path(os.path.abspath(os.path.expanduser(folder)))
    if not folder.is_dir():
        raise SiteError(f"There is no site folder {folder}; give a folder that holds {FILE_NAME}.")
    with suppress(PermissionError):  # said when the file is read
        if not (folder / FILE_NAME).exists():
            raise _missing(folder / FILE_NAME)
    return folder


def _read_toml(file: Path) -> dict[str, dict[str, Any]]:
    try:
        return parse_toml(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise _missing(file) from None
    except OSError as error:
        raise SiteError(
            f"{file} cannot be read ({error.strerror}); check its permissions."
        ) from error
    except UnicodeDecodeError as error:
        raise SiteError(f"{file} is not UTF-8 text; save it as UTF-8.") from error
    except ValueError as error:
        raise SiteError(
            f"{file} is not valid TOML: {error}; correct it there{_if_labels_twice(file)}."
        ) from error


def _missing(file: Path) -> SiteError:
    return SiteError(f"{file} is missing; {_instead(file.parent)}.")


def _instead(folder: Path) -> str:
    """What to do about a folder that is no site's: it may be the one that holds the sites'."""
    inside = sorted(path.parent.name for path in folder.glob(f"*/{FILE_NAME}"))
    if not inside:
        return "`fedthaw site new` proposes one from a table of outcomes"
    named = ", ".join(inside[:_NAMED]) + (", ..." if len(inside) > _NAMED else "")
    return f"folders in it have one ({named}), so name those"


def _if_labels_twice(file: Path) -> str:
    """What else may be wrong: TOML takes one `labels` in [data], a file's name or a table."""
    if "[data.labels" not in file.read_text(encoding="utf-8-sig"):
        return ""
    return '. With [data.labels], [data] names the table of outcomes as table = "labels.csv"'


def _check_keys(file: Path, tables: Mapping[str, Any]) -> None:
    for section, table in tables.items():
        if section not in _KEYS:
            raise SiteError(f"{file}: unknown section [{section}]{_hint(section, _KEYS)}")
        if not isinstance(table, dict):
            raise SiteError(f"{file}: {section} is {table!r}; it must be a section, [{section}].")
        for key, value in table.items():
            if key not in _KEYS[section]:
                hint = _hint(key, _KEYS[section])
                raise SiteError(f"{file}: unknown key '{key}' in [{section}]{hint}")
            kind = _KEYS[section][key]
            if kind in ("classes", "labels") and isinstance(value, dict):
                _check_inside(file, key, value)
            if not _fits(kind, key, value):
                raise SiteError(
                    f"{file}: {key} in [{section}] is {value!r}; it must be {_expected(kind, key)}."
                )
    for section, key in _REQUIRED:
        if key not in tables.get(section, {}):
            raise required(file, section, key)


def _check_inside(file: Path, section: str, table: Mapping[str, object]) -> None:
    """SiteError for the first class or label that is not declared as it must be."""
    for name, value in table.items():
        if _fits(section, section, {name: value}):
            continue
        if name in _KEYS["data"] and not isinstance(value, dict):
            raise SiteError(
                f"{file}: {name} stands below [data.{section}], where every line is one of the "
                f"{section}; move it up to [data], above the line [data.{section}]."
            )
        raise SiteError(
            f"{file}: {name} in [data.{section}] is {value!r}; it must be "
            f"{_EXPECTED_INSIDE[section]}."
        )


def _expected(kind: str, key: str) -> str:
    if kind == "choices":
        return f"a list that is not empty, of {', '.join(map(repr, allowed_values(key)))}"
    return _EXPECTED[kind]


def _fits(kind: str, key: str, value: object) -> bool:
    match kind:
        case "text":
            return isinstance(value, str) and bool(value.strip())
        case "values":
            return isinstance(value, list) and bool(value) and all(map(_is_outcome, value))
        case "classes":
            return isinstance(value, dict) and all(_fits("values", key, v) for v in value.values())
        case "labels":
            return _fits("text", key, value) or (
                isinstance(value, dict) and all(map(_is_label, value.values()))
            )
        case "sandbox":
            return value in ("auto", "required", "off")
        case "whole":
            return type(value) is int and value >= 1
        case "count":
            return type(value) is int and 0 <= value < 10**9
        case "flag":
            return type(value) is bool
        case "notify":
            return True
        case "choices":
            known = allowed_values(key)
            return isinstance(value, list) and bool(value) and all(one in known for one in value)
        case "gigabytes" | "hours":
            return type(value) in (int, float) and 0 <= float(str(value)) < 1e6
        case _:
            low, high = (0.01, 1000) if kind == "megapixels" else (0, 1)
            return type(value) in (int, float) and low <= float(str(value)) <= high


def _is_outcome(value: object) -> bool:
    return type(value) in (int, float) or (isinstance(value, str) and bool(value.strip()))


def _is_label(value: object) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == set(LABEL_KEYS)
        and _fits("text", "column", value["column"])
        and all(_fits("values", key, value[key]) for key in BINARY_KEYS)
    )


def _hint(word: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(word.casefold().replace("_", "-"), names, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known are {', '.join(names)}."
