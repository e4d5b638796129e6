"""Every `fedthaw` command line in docker/ is one that the installed fedthaw takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Here = Callable[..., tuple[int, str, str]]
Words = list[list[str]]


@pytest.fixture(scope="session")
def all_commands(
    docker_folder: Path,
    compose: dict[str, Any],
    image_commands: Callable[[str], Words],
    written_commands: Callable[[Path], Words],
) -> dict[str, Words]:
    """File -> the words of its command lines."""
    found = {name: image_commands(name) for name in ("server.Dockerfile", "client.Dockerfile")}
    services = compose["services"].values()
    found["compose.yaml"] = [service["command"] for service in services if "command" in service]
    for file in ("demo-setup.sh", "../docs/containers.md", "systemd/fedthaw-server.service",
                 "systemd/fedthaw-site@.service"):  # fmt: skip
        found[file] = written_commands(docker_folder / file)
    return found


def test_none_is_overlooked(all_commands: dict[str, Words]) -> None:
    starts = {file: {tuple(words[:2]) for words in lines} for file, lines in all_commands.items()}
    assert starts == {
        "server.Dockerfile": {("server", "run"), ("health", "127.0.0.1:9080"), ()},
        "client.Dockerfile": {
            ("site", "run"), ("health", "127.0.0.1:9080"), (), ("/demo",),
            ("sh", "/usr/local/bin/demo-setup.sh"),
        },
        "compose.yaml": {("server", "run"), ("site", "run")},
        "demo-setup.sh": {
            ("server", "init"), ("site", "phantoms"), ("server", "invite"), ("site", "init"),
            ("server", "register"), ("site", "approve"),
        },
        "../docs/containers.md": {
            ("server", "status"), ("submit", "--set"), ("server", "register"), ("site", "check"),
            ("site", "init"), ("site", "key"), ("site", "approve"), ("health", "HOST:PORT"),
            ("server", "init"), ("server", "invite"),
        },
        "systemd/fedthaw-server.service": {("server", "init"), ("server", "run")},
        "systemd/fedthaw-site@.service": {
            ("site", "init"), ("site", "approve"), ("site", "run"),
        },
    }  # fmt: skip


def test_all_are_real(here: Here, all_commands: dict[str, Words]) -> None:
    tried = 0
    for file, lines in all_commands.items():
        for words in lines:
            if not words or words[0] in ("sh", "/demo"):  # the demo stage runs its script
                continue
            code, out, err = here(*words, "--help")
            assert (code, err) == (0, ""), f"{file}: {words}"
            assert re.search(rf"Usage: .* {words[0]} ", out)
            tried += 1
    assert tried > 20


@pytest.mark.parametrize(
    "words", [("server", "run", "--helth", "x"), ("site", "runn", "/data"), ("helth", "x")]
)
def test_a_command_line_that_is_not_would_be_seen(here: Here, words: tuple[str, ...]) -> None:
    assert here(*words, "--help")[0] == 2
