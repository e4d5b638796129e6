"""Whether a log is as it was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from shared.audit.log import (
    HEADLESS,
    START,
    AuditLog,
    Link,
    is_next,
    parse_line,
    read_head,
    read_key,
)


@dataclass(frozen=True)
class Verification:
    """What was found: how many entries, and every fault as a sentence."""

    entries: int
    unchained: int
    """Lines from before the log had a chain; they are covered as a whole, by the first link."""
    torn: int
    """Incomplete lines, as a crash leaves them; what they were to say was never sent."""
    faults: tuple[str, ...]

    @property
    def intact(self) -> bool:
        """Whether nothing was changed, removed, inserted or cut off."""
        return not self.faults


def verify(log: AuditLog) -> Verification:
    """Follow the chain from the first line to the head. Raises OSError."""
    key, head = read_key(log), read_head(log)
    if not log.path.exists():
        if head == START or (
            key is None and head is None
        ):  # a crash before the first line, or none
            return Verification(0, 0, 0, ())
        return Verification(0, 0, 0, (f"The log {log.path} is missing; its key or head is there.",))
    if key is None:
        return Verification(0, 0, 0, (f"The key {log.key} is missing or damaged.",))
    walk = _Walk(key)
    faults = list(walk.over(log))
    if fault := _fault_of_end(log, head, walk):
        faults.append(fault)
    return Verification(walk.entries, walk.unchained, walk.torn, tuple(faults))


class _Walk:
    """One pass over the lines."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.last = START
        self.entries = self.unchained = self.torn = 0

    def over(self, log: AuditLog) -> Iterator[str]:
        """Every fault of the lines, in their order."""
        start = hashlib.sha256()
        with log.path.open("rb") as file:
            for place, data in enumerate(file, start=1):
                parsed = parse_line(data)
                if parsed is None:
                    if self.entries == 0:
                        start.update(data)
                        self.unchained += _is_json(data)
                    elif _is_json(data):
                        yield f"Line {place} is not part of the chain: it was changed or inserted."
                    else:
                        self.torn += bool(data.strip())
                    continue
                yield from self._follow(place, parsed, start.hexdigest())

    def _follow(self, place: int, parsed: tuple[bytes, int, str], start: str) -> Iterator[str]:
        body, number, code = parsed
        missing = number - self.last.number - 1
        if missing > 0:
            yield (
                f"Before line {place}, {_entries(missing)} missing "
                f"(numbers {self.last.number + 1} to {number - 1})."
            )
        elif missing < 0:
            yield f"Line {place} has number {number} again: it was moved or copied."
        elif not is_next(self.key, self.last, parsed):
            yield f"Line {place} (number {number}) was changed, or the line before it was."
        line = json.loads(body + b"}")
        if self.entries == 0 and line.get("before", _NOTHING) != start:
            yield f"The lines before line {place} were changed, removed or inserted."
        if HEADLESS in line:
            yield (
                f"Before line {place} the log's head was missing or damaged, so lines may have "
                "been cut off there."
            )
        self.entries += 1
        self.last = Link(number, code)


_NOTHING = hashlib.sha256().hexdigest()


def _fault_of_end(log: AuditLog, head: Link | None, walk: _Walk) -> str | None:
    if head is None:
        return f"{log.head} is missing or damaged, so lines may have been cut off at the end."
    missing = head.number - walk.last.number
    if missing > 0:
        return f"At the end, {_entries(missing)} missing: the log was cut short."
    # A crash between a line and its head leaves the head one behind.
    if missing < -1 or (missing == 0 and head.code != walk.last.code):
        return f"{log.head} is not that of this log: one of the two is an older or another copy."
    return None


def _entries(number: int) -> str:
    return "1 entry is" if number == 1 else f"{number} entries are"


def _is_json(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict)
    except (ValueError, RecursionError):
        return False
