"""The pages as a newcomer uses them: their blocks of commands, executed as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = ("sh", "python")
"""Languages of blocks that a reader executes."""
_BLOCK = re.compile(r"(?:^<!-- ([^\n]*) -->\n)?^```(\S*)\n(.*?)^```$", re.M | re.S)
NOT_RUN, AS_IN = "not run: ", "as in "


@dataclass(frozen=True)
class Block:
    """A fenced block; `note` is the comment on the line before it, empty without one."""

    page: str
    line: int
    language: str
    text: str
    note: str

    @property
    def is_command(self) -> bool:
        return self.language in COMMANDS

    @property
    def runs(self) -> bool:
        """Whether a newcomer executes it."""
        return self.is_command and not self.note.startswith((NOT_RUN, AS_IN))

    @property
    def commands(self) -> list[str]:
        """Its command lines, continued ones joined, without comments."""
        joined = re.sub(r" *\\\n *", " ", self.text)
        return [line for text in joined.splitlines() if (line := text.split("  #")[0].strip())]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: str) -> list[Block]:
    """All blocks of a page, by its path in the repository."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(page, text[: match.start(2)].count("\n") + 1, match[2], match[3], match[1] or "")
        for match in _BLOCK.finditer(text)
    ]


@dataclass
class Reader:
    """Somebody at a terminal in `folder`; `changes`: what they type in place of the page."""

    folder: Path
    environment: Mapping[str, str]
    changes: dict[str, str] = field(default_factory=dict)

    def adapted(self, block: Block) -> str:
        """The block as this reader types it."""
        text = re.sub(r" *\\\n *", " ", block.text)
        for old, new in self.changes.items():
            text = text.replace(old, new)
        return text

    def run(self, block: Block, timeout: float = 600) -> str:
        """Execute a block in bash; its output, both streams together. It must succeed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.adapted(block)], cwd=self.folder,
            env=dict(self.environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=timeout, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{block}\n{self.adapted(block)}\n{done.stdout}"
        return done.stdout

    def start(self, block: Block, output: Path) -> subprocess.Popen[bytes]:
        """Execute a block of one command in the background, into this file."""
        with output.open("wb") as file:
            return subprocess.Popen(
                ["bash", "-c", f"exec {self.adapted(block).strip()}"], cwd=self.folder,
                env=dict(self.environment), stdout=file, stderr=subprocess.STDOUT,
            )  # fmt: skip


@pytest.fixture(scope="session")
def pages() -> list[str]:
    """README and all pages of docs/, by their paths in the repository."""
    found = (ROOT / "docs").rglob("*.md")
    return ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in found)]


@pytest.fixture(scope="session")
def blocks() -> Callable[[str], list[Block]]:
    return blocks_of


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A clean account: a home and a cache of its own, and the `fedthaw` that is tested."""
    home = tmp_path / "home"
    home.mkdir()
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
        "HOME": str(home),
        "FEDTHAW_CACHE": str(tmp_path / "cache"),
        "COLUMNS": "80",
        "LANG": "C.UTF-8",
        "OMP_WAIT_POLICY": "PASSIVE",
    }


@pytest.fixture
def reader(environment: dict[str, str]) -> Callable[..., Reader]:
    def make(folder: Path, changes: dict[str, str] | None = None, **more: str) -> Reader:
        folder.mkdir(parents=True, exist_ok=True)
        return Reader(folder, environment | more, changes or {})

    return make


@pytest.fixture(scope="session")
def unlike() -> Callable[[str, str], list[str]]:
    """The lines that a page shows of an output, and that are not in it, whatever their numbers."""

    def plain(text: str) -> str:
        return re.sub(r"[\d.]+", "#", re.sub(r"[\s│┃]+", " ", text)).strip()

    def compare(shown: str, output: str) -> list[str]:
        have = plain(output)
        parts = [part for line in shown.splitlines() for part in line.split("...")]
        return [part for part in parts if plain(part) not in have]

    return compare
