"""The lines that a run says to its owner, kept in its folder: run.log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from server.terminal.progress import describe
from shared.run.events import Event, listening

FILE = "run.log"


@contextmanager
def said_in(folder: str) -> Iterator[None]:
    """Append every line that the run says to run.log; nothing where there is no folder."""
    if not folder:
        yield
        return
    path = Path(folder) / FILE

    def hear(event: Event) -> None:
        line = describe(event)
        if line is not None:
            # A full disk loses the line and nothing else.
            with suppress(OSError), path.open("a", encoding="utf-8") as log:
                log.write(line.replace("\n", " ") + "\n")

    with listening(hear):
        yield


def read_lines(folder: Path, start: int) -> tuple[list[str], int]:
    """The complete lines from this byte on, and the byte after them."""
    try:
        with (folder / FILE).open("rb") as log:
            log.seek(start)
            text = log.read()
    except OSError:
        return [], start
    end = text.rfind(b"\n") + 1
    # At these alone: what a site has said may hold others that Python counts as line breaks.
    return text[:end].decode("utf-8", errors="replace").split("\n")[:-1], start + end
