"""Decoding in helper processes: a file that crashes its decoder is one image that is set aside."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from client.imaging.facts import DecodedImage
from client.imaging.helper import Helper, HelperEnded
from client.imaging.helper_process import DECODE, DECODE_COLOUR, PATIENT
from client.imaging.limits import MAXIMUM_PIXELS

SECONDS = 120.0
"""How long one image may take; a radiograph takes less than one second."""
# A helper that has made a larger picture is replaced: neither keeps that much memory.
_LARGE_PIXELS = 32_000_000


@dataclass(frozen=True)
class Refusal:
    """Why there is no image: a short phrase that names neither file nor patient."""

    reason: str


class Decoders:
    """Helper processes that decode images, one for each that is wanted at the same time.

    They start when something is to be decoded, and end with the `with` block or with this process,
    however it ends. May be used by several threads at once.
    """

    def __init__(
        self, maximum_pixels: int = MAXIMUM_PIXELS, seconds: float = SECONDS, channels: int = 1
    ) -> None:
        """For grey images, or with 3 channels for colour images."""
        self._maximum_pixels = maximum_pixels
        self._channels = channels
        self._seconds = seconds
        self._lock = threading.Lock()
        self._idle: list[Helper] = []
        self._all: set[Helper] = set()
        self._closed = False

    def __enter__(self) -> Decoders:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def decoded(self, path: Path) -> Iterator[DecodedImage | Refusal]:
        """The picture of a file, whose pixels are valid inside the block, or why there is none.

        Raises FedThawError where no helper can start.
        """
        try:
            helper, answer = self._ask(DECODE if self._channels == 1 else DECODE_COLOUR, path)
        except HelperEnded as ended:
            yield Refusal(ended.reason)
            return
        spent = True
        try:
            image = _image(helper, answer)
            spent = isinstance(image, DecodedImage) and image.pixels.size > _LARGE_PIXELS
            yield image
        except HelperEnded as ended:
            yield Refusal(ended.reason)
        finally:
            if spent:
                self._end(helper)
            else:
                self._give_back(helper)

    def patient_id(self, path: Path) -> str | None:
        """The Patient ID (0010,0020) of a file whose pixels were refused, or None."""
        try:
            helper, answer = self._ask(PATIENT, path)
        except HelperEnded:
            return None
        self._give_back(helper)
        patient = answer.get("patient")
        return patient if isinstance(patient, str) else None

    def close(self) -> None:
        """End all helpers; an image that one is at work on is refused."""
        with self._lock:
            self._closed = True
            helpers = list(self._all)
        for helper in helpers:
            self._end(helper)

    def _ask(self, command: bytes, path: Path) -> tuple[Helper, dict[str, Any]]:
        """A helper and its answer; HelperEnded where a new one ends over the file, too."""
        helper = self._take()
        try:
            return helper, helper.ask(command, path.absolute(), self._seconds)
        except HelperEnded as ended:
            self._end(helper)
            if ended.certain or self._closed:
                raise
        helper = self._start()
        try:
            return helper, helper.ask(command, path.absolute(), self._seconds)
        except HelperEnded:
            self._end(helper)
            raise

    def _take(self) -> Helper:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._start()

    def _start(self) -> Helper:
        helper = Helper(self._maximum_pixels, self._channels)
        with self._lock:
            self._all.add(helper)
            closed = self._closed
        if closed:
            self._end(helper)
        return helper

    def _give_back(self, helper: Helper) -> None:
        with self._lock:
            self._idle.append(helper)

    def _end(self, helper: Helper) -> None:
        with self._lock:
            self._all.discard(helper)
        helper.end()


def _image(helper: Helper, answer: dict[str, Any]) -> DecodedImage | Refusal:
    return Refusal(str(answer["reason"])) if "reason" in answer else helper.image(answer)
