"""A coordinator and two hospitals are set up from coordinator.md and hospital.md alone."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.phantoms.hospitals import write_hospitals

COORDINATOR, HOSPITAL = "docs/coordinator.md", "docs/hospital.md"
SMALL = (
    "--set backbone=micro --set weights=random --set image-size=64 --set threads=1 "
    "--set probe-rounds=1 --set rounds=1"
)
PLAN = "3f2a90c1b7de"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Federation:
    """A coordinator and two hospitals in folders of their own, as on three machines."""

    def __init__(self, parent: Path, reader: Callable[..., Any], port: int) -> None:
        self.parent, self.port, self.running = parent, port, []  # type: ignore[var-annotated]
        self.hub = reader(parent / "hub", {
            "--name hub.example.org": f"--name localhost --port {port}",
            "--set weights=xrv": SMALL,
        })  # fmt: skip
        self.sites = {
            name: reader(parent / f"{name}-machine", {"north": name}) for name in ("north", "east")
        }

    def post(self) -> None:
        """Invitations go to the hospitals, and public keys that are there come back."""
        for name, site in self.sites.items():
            invitation = self.hub.folder / "coordinator" / "invitations" / f"{name}.json"
            shutil.copy(invitation, site.folder / f"{name}.json")
            key = site.folder / name / "federation" / "key.pub"
            if key.exists():
                shutil.copy(key, self.hub.folder / f"{name}.pub")

    def at(self, block: Any) -> None:
        """Execute a block where its page's readers are."""
        readers = {"hub": self.hub} if block.page == COORDINATOR else self.sites
        for name, reader in readers.items():
            if PLAN in block.text:
                reader.changes[PLAN] = self.waiting_plan(name)
            if "in the background" in block.note:
                output = self.parent / f"{name}-{len(self.running)}.out"
                self.running.append((reader.start(block, output), output))
            else:
                reader.run(block)

    def waiting_plan(self, name: str) -> str:
        """The plan that this hospital's client has logged."""
        pattern = rf"site approve \S*{name} ([0-9a-f]{{12}})"
        found = until(lambda: re.findall(pattern, self.outputs()), self.outputs)
        return str(found[0])

    def outputs(self) -> str:
        return "\n".join(output.read_text(encoding="utf-8") for _, output in self.running)

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def until(condition: Callable[[], Any], said: Callable[[], str], seconds: float = 240) -> Any:
    """Wait for this to be true; its value. It fails with what was said meanwhile."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, said()
        time.sleep(0.1)
    return value


@pytest.fixture
def federation(
    tmp_path: Path, reader: Callable[..., Any], free_port: Callable[[], int]
) -> Iterator[Federation]:
    federation = Federation(tmp_path, reader, free_port())
    write_hospitals(tmp_path / "drawn", image_side=64)
    for name, site in federation.sites.items():
        shutil.move(tmp_path / "drawn" / name, site.folder / name)
    yield federation
    for process, _ in reversed(federation.running):
        process.terminate()
    for process, _ in federation.running:
        process.wait(60)


def test_a_federation_from_the_pages(
    federation: Federation, blocks: Callable[[str], list[Any]]
) -> None:
    steps = {
        int(re.match(r"step (\d+)", block.note)[1]): block  # type: ignore[index]
        for page in (COORDINATOR, HOSPITAL)
        for block in blocks(page)
        if block.runs
    }
    submitted: subprocess.Popen[bytes] | None = None
    for number in sorted(steps):
        block = steps[number]
        federation.at(block)
        if "in the background" not in block.note:
            federation.post()
        elif "server run" in block.text:
            until(federation.listens, federation.outputs)
        elif "submit" in block.text:
            submitted = federation.running[-1][0]
        if PLAN in block.text and submitted is not None:
            assert submitted.wait(240) == 0, federation.outputs()
    run = federation.hub.folder / "coordinator" / "runs" / "first"
    assert (run / "report.html").is_file(), federation.outputs()
