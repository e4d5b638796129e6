"""The run's lines in its folder, and reading on from where one stopped."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.run.log import FILE, read_lines, said_in
from shared.run.events import SiteJoined, Warned, emit


def test_what_a_run_says_is_kept_a_line_each(tmp_path: Path) -> None:
    with said_in(str(tmp_path)):
        emit(SiteJoined("north"))
        emit(Warned("two\nlines"))
    emit(Warned("afterwards"))
    lines, end = read_lines(tmp_path, 0)
    assert len(lines) == 2
    assert "north takes part" in lines[0]
    assert "two lines" in lines[1]
    with said_in(str(tmp_path)):
        emit(Warned("continued"))
    assert len(read_lines(tmp_path, end)[0]) == 1


def test_without_a_folder_or_on_a_full_disk_the_run_goes_on(tmp_path: Path) -> None:
    with said_in(""):
        emit(Warned("nowhere"))
    with said_in(str(tmp_path / "absent")):
        emit(Warned("nowhere"))
    assert read_lines(tmp_path / "absent", 5) == ([], 5)


@given(st.text(st.characters(categories=("L", "N")), max_size=40), st.lists(st.integers(0, 60)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_line_is_told_twice_or_half(tmp_path: Path, text: str, cuts: list[int]) -> None:
    """However the file grows between two looks at it, within a character too."""
    data = "".join(f"{one}\n" for one in text).encode()
    collected, start = [], 0
    for cut in [*sorted(min(cut, len(data)) for cut in cuts), len(data)]:
        (tmp_path / FILE).write_bytes(data[:cut])
        lines, start = read_lines(tmp_path, start)
        collected += lines
    assert collected == list(text)
    assert start == len(data)


def test_a_line_ends_at_a_line_break_alone(tmp_path: Path) -> None:
    """Python's own splitting takes others, which a site's text may hold."""
    for text in ("one\u2028line", "one\x0bline", "one\x85line"):
        (tmp_path / FILE).write_text(f"{text}\nnext\n", encoding="utf-8")
        assert read_lines(tmp_path, 0)[0] == [text, "next"]
