"""docs/notebooks: each notebook runs from top to bottom, and its kept outputs are small."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


READ: Any = nbformat.read  # it has no types


def read(path: Path) -> Any:
    return READ(path, as_version=4)


def printed(notebook: Any) -> str:
    """All text that the cells printed."""
    outputs = [one for cell in notebook.cells for one in cell.get("outputs", [])]
    return "".join(one.get("text", "") for one in outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_small_and_has_no_error(path: Path) -> None:
    assert path.stat().st_size < 100_000
    notebook = read(path)
    nbformat.validate(notebook)
    kinds = {one.output_type for cell in notebook.cells for one in cell.get("outputs", [])}
    assert "error" not in kinds
    assert "/tmp" not in path.read_text(encoding="utf-8")
    assert str(Path.home()) not in path.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    notebook = read(path)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    client = nbclient.NotebookClient(
        notebook, timeout=800, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    assert "AUROC 0." in printed(notebook)
    assert "west: AUROC" in printed(notebook)
    assert (tmp_path / "runs/first/report.html").is_file()


def test_there_are_notebooks() -> None:
    assert [path.name for path in NOTEBOOKS] == ["first-federation.ipynb"]
