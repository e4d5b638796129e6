"""One helper process, seen from the one that it decodes for."""

from __future__ import annotations

import fcntl
import math
import mmap
import os
import signal
import tempfile
import threading
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np

from client.imaging.facts import DecodedImage, ImageFacts
from client.imaging.helper_process import MAXIMUM_REQUEST, OUT_OF_MEMORY, PIXEL_BYTES
from client.imaging.limits import decoding_bytes
from client.imaging.template import cannot_start, fork_helper
from shared.storage.json_file import DamagedFile, parse_json, typed

CRASHED = "the image decoder crashed"
KILLED = "the image decoder was killed, as the system does when memory runs out"
NO_MEMORY = "decoding takes more memory than the largest image that is allowed"
_MAXIMUM_ANSWER = 2**20


class HelperEnded(Exception):
    """A helper ended, or was ended, over a file.

    `certain` says that it was the file; otherwise another helper may well decode it.
    """

    def __init__(self, reason: str, *, certain: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.certain = certain


class Helper:
    """A process, its pipe, and the memory in which it leaves pixels."""

    def __init__(self, maximum_pixels: int, channels: int = 1) -> None:
        """Raises FedThawError where it cannot start."""
        self._answered = 0
        self._ending = threading.Lock()
        self._ended = False
        self._code: int | None = None
        size = maximum_pixels * channels * PIXEL_BYTES
        try:
            descriptor = _make_memory(size)
            self._pipe, theirs = Pipe()
        except OSError as error:  # too many open files
            raise cannot_start(str(error.strerror)) from error
        try:
            self._memory = mmap.mmap(descriptor, size)
            self._template, self.process = fork_helper(
                maximum_pixels,
                decoding_bytes(maximum_pixels, channels),
                [theirs.fileno(), descriptor],
            )
        except BaseException:
            self._pipe.close()
            raise
        finally:
            theirs.close()
            os.close(descriptor)

    def ask(self, command: bytes, path: Path, seconds: float) -> dict[str, Any]:
        """Its answer about a file.

        Raises HelperEnded where there is none within the time; the process is ended then.
        """
        try:
            self._pipe.send_bytes((command + os.fsencode(path))[:MAXIMUM_REQUEST])
            if not self._pipe.poll(seconds):
                self.end()
                raise HelperEnded(f"decoding takes longer than {seconds:g} seconds", certain=True)
            answer = typed(parse_json(self._pipe.recv_bytes(_MAXIMUM_ANSWER)), dict[str, Any])
        except (EOFError, OSError, DamagedFile) as error:
            self.end()
            raise self._how_it_ended() from error
        self._answered += 1
        return answer

    def image(self, answer: dict[str, Any]) -> DecodedImage:
        """The picture of its last answer; the pixels are its memory, until it is asked again.

        Raises HelperEnded for an answer that makes no sense, as damaged memory gives one.
        """
        try:
            facts = typed(answer["facts"], ImageFacts)
            shape = typed(answer["shape"], list[int])
            pixels = np.frombuffer(self._memory, dtype=np.float32, count=math.prod(shape))
            return DecodedImage(pixels.reshape(shape), facts)
        except (KeyError, TypeError, ValueError, DamagedFile) as error:
            raise HelperEnded(CRASHED, certain=True) from error

    def end(self) -> None:
        """End the process at once; any thread may do that, more than once."""
        with self._ending:
            if self._ended:
                return
            self._ended = True
            # It is not reaped before `wait`: nobody else has its number yet. One that has crashed
            # keeps the exit code that it has.
            with suppress(ProcessLookupError):
                os.kill(self.process, signal.SIGKILL)
            with suppress(OSError):  # the template has ended, and all its helpers with it
                self._code = self._template.wait(self.process)
            self._pipe.close()

    def _how_it_ended(self) -> HelperEnded:
        # An earlier file may have damaged what only this one has used.
        fresh = self._answered == 0
        if self._code == OUT_OF_MEMORY:
            return HelperEnded(NO_MEMORY, certain=fresh)
        if self._code in (None, -signal.SIGKILL):
            return HelperEnded(KILLED, certain=False)
        return HelperEnded(CRASHED, certain=fresh)


def _make_memory(size: int) -> int:
    """A descriptor of so many bytes that take room only once they are written."""
    if not hasattr(os, "memfd_create"):  # other than Linux
        with tempfile.TemporaryFile() as file:
            file.truncate(size)
            return os.dup(file.fileno())
    descriptor = os.memfd_create("fedthaw-pixels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    # Were it shrunk, reading here would end this process.
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return descriptor
