"""docs/python.md: its examples run as they stand, one after the other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import fedthaw
from shared.phantoms.hospitals import write_hospitals

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def test_every_function_is_named() -> None:
    table = set(re.findall(r"^\| `(\w+)\(", PAGE.read_text(encoding="utf-8"), re.M))
    assert table == {name for name in fedthaw.__all__ if name[0].islower()}


@pytest.mark.slow
def test_the_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_hospitals(Path("hospitals"), image_side=64)
    names: dict[str, Any] = {}
    for number, block in enumerate(blocks()):
        exec(compile(block, f"docs/python.md, example {number + 1}", "exec"), names)
    out = capsys.readouterr().out
    assert "95 % CI" in out
    assert "True 5" in out  # finished, with all rounds
    assert "2 of 2: loss" in out
    assert "linear probe alone" in out
    assert out.endswith("Unknown setting 'rouds'; did you mean 'rounds'?\n")
    assert Path("first.html").is_file()
