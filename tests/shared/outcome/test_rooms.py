"""Who names the two classes: the outcome, and what is binary by its nature."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
ROOMS = (
    "shared/outcome", "shared/metrics", "server/disclosure", "server/report",
    "server/external", "server/results/external.py", "server/terminal/external.py",
    "server/results/study.py", "server/study/classes",
)  # fmt: skip
_NAMED = re.compile("positives|negatives")


def test_no_other_room_names_them() -> None:
    """Else another outcome could not be added beside the binary one."""
    found = [
        path.relative_to(ROOT).as_posix()
        for package in ("client", "server", "shared")
        for path in (ROOT / package).rglob("*.py")
        if _NAMED.search(path.read_text(encoding="utf-8"))
    ]
    assert any(path.startswith(ROOMS) for path in found)
    assert [path for path in found if not path.startswith(ROOMS)] == []
