"""Strict JSON, and its parts as types."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.storage.json_file import DamagedFile, fitting, parse_json, read_json, said, typed

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(VALUES)
def test_what_was_written_is_what_is_read(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_a_document_or_damaged(data: bytes) -> None:
    with contextlib.suppress(DamagedFile):
        parse_json(data)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' is there twice"),
        ('{"x": {"\\u001b": 1, "\\u001b": 2}}', "is there twice"),
        ("NaN", "NaN is not a number"),
        ("[-Infinity]", "-Infinity is not a number"),
        ("1e999", "the number 1e999 is too large"),
        ("9" * 5000, "a number has 5000 digits"),
        ("[" * 100_000, "nested too deeply"),
        ("", "Expecting value"),
    ],
)
def test_what_is_refused_and_why(text: str, complaint: str) -> None:
    with pytest.raises(DamagedFile, match=complaint):
        parse_json(text)


def test_another_encoding_is_refused() -> None:
    with pytest.raises(DamagedFile):
        parse_json('{"a": "é"}'.encode("utf-16"))


class Point(TypedDict):
    name: str
    share: float


def test_types_are_checked_and_the_place_is_named() -> None:
    assert typed({"name": "a", "share": 1}, Point) == {"name": "a", "share": 1}
    with pytest.raises(DamagedFile, match=r"Expected `float`, got `str` - at `\$.share`"):
        typed({"name": "a", "share": "1"}, Point)
    with pytest.raises(DamagedFile, match="missing required field `share`"):
        typed({"name": "a"}, Point)


@pytest.mark.parametrize(
    "work",
    [lambda: {}["a"], lambda: [1].pop(3), lambda: None.x, lambda: 1 / 0, lambda: int([])],  # type: ignore
)
def test_what_does_not_fit_is_damaged(work: Any) -> None:
    with pytest.raises(DamagedFile), fitting():
        work()


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.json"
    with pytest.raises(FileNotFoundError) as missing:
        read_json(file)
    assert said(missing.value) == "No such file or directory"
    file.write_text("[1]")
    assert read_json(file) == [1]
    monkeypatch.setattr("shared.storage.json_file.MOST_BYTES", 2)
    with pytest.raises(DamagedFile, match="it has 3 bytes; at most 2 are read"):
        read_json(file)
