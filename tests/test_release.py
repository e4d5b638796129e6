"""`make release`: the same commit gives the same bytes, and nothing else gets in."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="releases are made of a git commit"),
]


def release(folder: Path) -> dict[str, bytes]:
    """What `make release` makes of this commit, in a clone at `folder`."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    shutil.copy(ROOT / ".ci" / "release.py", folder / ".ci" / "release.py")
    (folder / "client" / "private_notes.py").touch()
    (folder / "patients.json").touch()
    subprocess.run([sys.executable, str(folder / ".ci" / "release.py")], check=True)
    return {path.name: path.read_bytes() for path in (folder / "dist").iterdir()}


def test_a_release(tmp_path: Path) -> None:
    first, second = release(tmp_path / "one"), release(tmp_path / "another")
    assert first == second
    lines = [line.split("  ") for line in first.pop("SHA256SUMS").decode().splitlines()]
    sums = {name: digest for digest, name in lines}
    assert sums == {name: hashlib.sha256(data).hexdigest() for name, data in first.items()}
    dist = tmp_path / "one" / "dist"
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        folders = {name.split("/")[0] for name in wheel.namelist()}
        assert not any("private_notes" in name for name in wheel.namelist())
    assert {name for name in folders if not name.endswith(".dist-info")} == {
        "client", "fedthaw", "server", "shared",
    }  # fmt: skip
    with tarfile.open(next(dist.glob("*.tar.gz"))) as sdist:
        names = sdist.getnames()
    for wanted in ("/pyproject.toml", "/fedthaw/__init__.py"):
        assert any(name.endswith(wanted) for name in names)
    assert not any("patients.json" in name or ".venv" in name for name in names)
    _check_sbom(json.loads(next(dist.glob("*.cdx.json")).read_text(encoding="utf-8")))


def _check_sbom(sbom: dict[str, object]) -> None:
    """All that the product needs, nothing that only its developers do, each in one version."""
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
    components = sbom["components"]
    assert isinstance(components, list)
    versions = {component["name"]: component["version"] for component in components}
    assert len(versions) == len(components)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for text in project["dependencies"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(versions[requirement.name.lower()])
    assert versions.keys() & {"pytest", "mypy", "ruff", "hypothesis"} == set()
