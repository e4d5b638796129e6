"""A researcher follows data.md, simulation.md, prediction.md and studies.md, in this order."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.phantoms.hospitals import write_hospitals

PAGES = ("docs/data.md", "docs/simulation.md", "docs/prediction.md", "docs/studies.md")
RUN = """backbone = "micro"
weights = "random"
image-size = 64
threads = 1
probe-rounds = 1
rounds = 1
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def researcher(tmp_path: Path, reader: Callable[..., Any]) -> Any:
    """Somebody with the folders that the pages name; trains a small network for a short time."""
    folder = tmp_path / "work"
    write_hospitals(folder, image_side=64)
    shutil.copytree(folder / "west", folder / "external")
    table = folder / "external" / "site.toml"
    table.write_text(table.read_text().replace('name = "west"', 'name = "external"'))
    shutil.copytree(folder / "west" / "images", folder / "new")
    (folder / "run.toml").write_text(RUN, encoding="utf-8")
    (folder / "north" / "site.toml").unlink()  # the first page makes it
    quicker = {"--quick": "--quick --config run.toml", "--folds 5": "--folds 2"}
    return reader(folder, quicker | {"--repeats 3": "--repeats 1"})


def test_the_pages_of_research(researcher: Any, blocks: Callable[[str], list[Any]]) -> None:
    folder, said = researcher.folder, ""
    for page in PAGES:
        for block in blocks(page):
            if block.language == "toml" and "[[arm]]" in block.text:
                (folder / "arms.toml").write_text(block.text, encoding="utf-8")
            if block.runs:
                said += researcher.run(block)
    for name in (
        "runs/first/report.html",
        "runs/pooled/summary.json",
        "runs/north/summary.json",
        "scores.csv",
        "models/first/model.safetensors",
        "runs/study/study.md",
    ):
        assert (folder / name).is_file(), said
    assert len(list((folder / "explained").iterdir())) > 50
    assert "full fine-tuning" in (folder / "runs/study/study.md").read_text(encoding="utf-8")
