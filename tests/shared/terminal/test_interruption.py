"""What an interrupted command says of its work."""

from __future__ import annotations

import pytest

from shared.terminal.interruption import interruption_of


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "--debug simulate north east",
            "Interrupted. A run that had begun continues with --resume.",
        ),
        ("study north --folds 3", "Interrupted. The same command continues the study."),
        ("site check simulate", "Interrupted."),
        ("", "Interrupted."),
    ],
)
def test_only_what_can_be_continued_is_said_to_be(line: str, expected: str) -> None:
    assert interruption_of(line.split()) == expected
