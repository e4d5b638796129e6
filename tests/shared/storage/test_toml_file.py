"""TOML as people write it: what it cannot be is a ValueError with a reason."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.storage.toml_file import parse_toml


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a = 1\na = 2", "Cannot overwrite a value"),
        ("a = " + "9" * 5000, "it holds an integer with too many digits"),
        ("a = " + "[" * 9000, "its values are nested too deeply"),
    ],
)
def test_what_is_no_toml(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        parse_toml(text)
    assert "sys." not in str(caught.value)  # nobody who edits a file can act on that


@given(st.text("ab=.[]{}\"'\n #1,", max_size=30))
def test_nothing_but_a_value_error_is_raised(text: str) -> None:
    try:
        found = parse_toml(text)
    except ValueError:
        return
    assert found == tomllib.loads(text)
