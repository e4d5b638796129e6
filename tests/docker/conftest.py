"""What stands in docker/, read once."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[2] / "docker"
INSTRUCTION = re.compile(r"^(?:HEALTHCHECK .*)?\b(CMD|ENTRYPOINT) (\[.*\])$")


@pytest.fixture(scope="session")
def docker_folder() -> Path:
    """The folder itself."""
    return FOLDER


@pytest.fixture(scope="session")
def joined_lines() -> Callable[[Path], list[str]]:
    """The lines of a file, with those joined that a backslash continues."""

    def read(path: Path) -> list[str]:
        text = re.sub(r"\\\n(?:# {2,})?\s*", "", path.read_text(encoding="utf-8"))
        return text.splitlines()

    return read


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """The compose file, anchors and merges resolved."""
    document = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


@pytest.fixture(scope="session")
def image_commands(
    joined_lines: Callable[[Path], list[str]],
) -> Callable[[str], list[list[str]]]:
    """The words of every CMD, HEALTHCHECK and ENTRYPOINT of a Dockerfile that fedthaw runs."""

    def read(name: str) -> list[list[str]]:
        found = []
        for line in joined_lines(FOLDER / name):
            if match := INSTRUCTION.match(line):
                words = json.loads(match[2])
                found.append(words[1:] if words[0] == "fedthaw" else words)
        return found

    return read


@pytest.fixture(scope="session")
def written_commands(
    joined_lines: Callable[[Path], list[str]],
) -> Callable[[Path], list[list[str]]]:
    """The words after `fedthaw` of each command line in a script, a unit or a README."""

    def read(path: Path) -> list[list[str]]:
        # `run --rm site WORDS` of docker compose starts the service whose entry point is fedthaw,
        # and so does `docker run --rm` with an image.
        pattern = r"(?:(?:^|[\s/`])fedthaw|--rm (?:-v \S+ )?(?:site|fedthaw-server)) ([a-z][^`]*)"
        lines = joined_lines(path)
        if path.suffix == ".md":  # fenced blocks and spans of code, not sentences
            code = re.finditer(r"`([^`\n]+)`|(?<=\n)(docker .+)", "\n".join(lines))
            lines = [match[1] or match[2] for match in code]
        found = (re.search(pattern, line) for line in lines)
        return [shlex.split(match[1]) for match in found if match]

    return read
