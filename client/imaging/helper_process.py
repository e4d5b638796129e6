"""The processes that decode image files: a damaged file may crash one of them, and nothing else.

Started by its path, this is the template: it imports the decoders once, and each time the process
it belongs to asks for a helper, it forks one. A fork takes milliseconds, so that a helper that a
file crashed is replaced at no cost. The template has one thread and no data of any image.

A helper answers one request after the other: `DECODE` and a path with the facts of the image,
whose pixels it leaves in the shared memory, `DECODE_COLOUR` with three values a pixel; `PATIENT`
and a path with the Patient ID. Answers are JSON, not pickles: what a damaged file makes of this
process is not to run in the other.
"""

from __future__ import annotations

import ctypes
import gc
import json
import mmap
import os
import resource
import select
import signal
import socket
import struct
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

REQUEST = struct.Struct("!cqq")
"""To the template: `FORK`, the largest image in pixels, the most bytes; or `WAIT`, a process id."""
ANSWER = struct.Struct("!q")
"""From the template: first the length of an error, then a process id or an exit code."""
FORK, WAIT = b"F", b"W"
DECODE, DECODE_COLOUR, PATIENT = b"D", b"C", b"P"
OUT_OF_MEMORY = 70
"""Exit code of a helper that reached its memory limit."""
PIXEL_BYTES = 4
MAXIMUM_REQUEST = 2**16
_LOOK_SECONDS = 1.0
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4


def main() -> None:
    """Fork helpers until the process that started this one closes its end or is gone."""
    control = socket.socket(fileno=int(sys.argv[1]))
    parent = int(sys.argv[2])
    sys.path[:] = json.loads(sys.argv[3])
    error = _load()
    control.sendall(ANSWER.pack(len(error)) + error)
    gc.freeze()
    while os.getppid() == parent:
        if not select.select([control], [], [], _LOOK_SECONDS)[0]:
            continue
        message, fds, _, _ = socket.recv_fds(control, REQUEST.size, 2)
        if len(message) < REQUEST.size:
            return
        kind, number, most = REQUEST.unpack(message)
        if kind == FORK:
            answer = _fork(control, fds, number, most)
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
        control.sendall(ANSWER.pack(answer))


def _load() -> bytes:
    """Import what decoding needs; what is wrong with it, or nothing."""
    try:
        from client.imaging.decode import load_decoders

        load_decoders()
    except Exception as error:
        return f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace")[:2000]
    return b""


def _fork(control: socket.socket, fds: list[int], pixels: int, most: int) -> int:
    template = os.getpid()
    process = os.fork()
    if process == 0:
        try:
            control.close()
            _end_with(template)
            _serve(Connection(fds[0]), fds[1], pixels, most)
        finally:
            os._exit(1)
    for fd in fds:
        os.close(fd)
    return process


def _end_with(template: int) -> None:
    """Let the system end this process with the template, and keep no copy of its memory on disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:  # Linux
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        prctl(_PR_SET_DUMPABLE, 0)
    else:
        threading.Thread(target=_watch, args=(template,), daemon=True).start()
    if os.getppid() != template:
        os._exit(1)


def _watch(template: int) -> None:
    while os.getppid() == template:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


def _serve(pipe: Connection, memory_fd: int, pixels: int, most: int) -> NoReturn:
    memory = mmap.mmap(memory_fd, os.fstat(memory_fd).st_size)
    _limit_memory(most)
    while True:
        try:
            request = pipe.recv_bytes(MAXIMUM_REQUEST)
        except EOFError:
            os._exit(0)
        kind, path = request[:1], Path(os.fsdecode(request[1:]))
        try:
            colour = kind == DECODE_COLOUR
            answer = _patient(path) if kind == PATIENT else _decode(path, memory, pixels, colour)
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        pipe.send_bytes(json.dumps(answer).encode("ascii"))


def _limit_memory(most: int) -> None:
    """Let allocations fail beyond `most` bytes more than now; without /proc there is no limit."""
    with suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + most
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _decode(path: Path, memory: mmap.mmap, maximum_pixels: int, colour: bool) -> dict[str, Any]:
    import dataclasses

    import numpy as np

    from client.imaging.decode import decode
    from shared.errors import ImageRejected

    try:
        image = decode(path, maximum_pixels, colour=colour)
    except ImageRejected as rejection:
        if _for_want_of_memory(rejection):
            raise MemoryError from rejection
        return {"reason": rejection.reason}
    except MemoryError:
        raise
    except Exception as error:
        # No decoder should end here; the person who looks into it needs to know where it did.
        return {"reason": f"the image decoder failed ({type(error).__name__})"}
    shared = np.frombuffer(memory, dtype=np.float32, count=image.pixels.size)
    shared.reshape(image.pixels.shape)[:] = image.pixels
    return {"facts": dataclasses.asdict(image.facts), "shape": image.pixels.shape}


def _for_want_of_memory(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _patient(path: Path) -> dict[str, Any]:
    from client.imaging.dicom import read_patient_id

    return {"patient": read_patient_id(path)}


if __name__ == "__main__":
    main()
