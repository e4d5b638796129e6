"""One printable line, whatever was said."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.plain import one_line


@given(st.text(), st.integers(0, 20))
def test_it_is_printable_and_short(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert line.isprintable()
    assert len(line) == min(len(text), limit)


def test_what_is_printable_stays() -> None:
    assert one_line("Grüße [red]\x1b[2J\n\u2028\u202e.", 99) == "Grüße [red] [2J   ."
