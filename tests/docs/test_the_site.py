"""`make docs`: the site builds without a warning, has all pages, and fetches nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOADED = re.compile(r'<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)="(?:https?:)?//[^"]*"')


@pytest.mark.slow
def test_the_site(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT, check=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    sources = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    built = {path.relative_to(tmp_path) for path in tmp_path.rglob("*.html")}
    assert built == {path.with_suffix(".html") for path in sources} | {Path("404.html")}
    texts = {path: (tmp_path / path).read_text(encoding="utf-8") for path in built}
    assert {path: found for path, text in texts.items() if (found := LOADED.findall(text))} == {}
    assert "@import" not in "".join(path.read_text("utf-8") for path in tmp_path.rglob("*.css"))
    reference = texts[Path("reference.html")]
    for name in ("simulate", "open_run", "evaluate", "predict", "study", "BinaryMetrics"):
        assert f"{name}</span>" in reference or f">{name}<" in reference, name
