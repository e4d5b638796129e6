"""The template of the helper processes, seen from the process that it belongs to.

One a process, started when the first helper is wanted and ended with the process.
"""

from __future__ import annotations

import atexit
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from client.imaging.helper_process import ANSWER, FORK, REQUEST, WAIT
from shared.errors import FedThawError
from shared.memory import keeping
from shared.storage.files import write_private

_SCRIPT = Path(__file__).with_name("helper_process.py")
_ROOT = Path(__file__).parents[2]
# Reading Python's packages from a busy network drive takes its time.
_START_SECONDS = 300.0
_END_SECONDS = 5.0


@dataclass(frozen=True)
class Template:
    """A running template; `owner` is the process that started it."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    owner: int
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fork(self, pixels: int, most: int, fds: list[int]) -> int:
        """The process id of a new helper, with these ends of a pipe and of shared memory."""
        return self._ask(REQUEST.pack(FORK, pixels, most), fds)

    def wait(self, helper: int) -> int:
        """The exit code of a helper that has ended or is about to, as subprocess gives it."""
        return self._ask(REQUEST.pack(WAIT, helper, 0), [])

    def _ask(self, request: bytes, fds: list[int]) -> int:
        """Raises OSError where the template has ended."""
        with self.lock:
            socket.send_fds(self.control, [request], fds)
            answer: int = ANSWER.unpack(_receive(self.control, ANSWER.size))[0]
        return answer


def fork_helper(pixels: int, most: int, fds: list[int]) -> tuple[Template, int]:
    """A new helper's process id, and its template, which is started where there is none.

    Raises FedThawError where it cannot start.
    """
    for _ in range(2):  # somebody may have killed the template
        template = _running()
        try:
            return template, template.fork(pixels, most, fds)
        except OSError:
            _forget(template)
    raise cannot_start("it ends at once, as it does without memory or with too many processes")


_lock = threading.Lock()
_templates: list[Template] = []


def _running() -> Template:
    with _lock:
        # A process that was forked from this one inherits the list, but not the right to use it.
        _templates[:] = [one for one in _templates if one.owner == os.getpid()]
        if not _templates:
            _templates.append(_start())
        return _templates[0]


def _forget(template: Template) -> None:
    with _lock:
        if template in _templates:
            _templates.remove(template)
    _end(template)


def _start() -> Template:
    ours, theirs = socket.socketpair()
    # The packages are found where this process finds them, and FedThaw's own where this file lies:
    # a site's working process runs those of an approved bundle.
    script, packages = _program()
    paths = [packages, *(os.path.abspath(path) for path in sys.path if path)]
    arguments = [str(theirs.fileno()), str(os.getpid()), json.dumps(paths)]
    # One image is as large as the next: memory fetched once from the system is kept for it.
    environment = keeping(os.environ) | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with theirs:
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-B", "-W", "ignore", script, *arguments],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # Decoders abort with lines that name no file; the image's reason says it instead.
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=environment,
                # Ctrl-C is for the process that it belongs to, which ends its helpers itself.
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise cannot_start(f"{sys.executable}: {error.strerror}") from error
    template = Template(process, ours, os.getpid())
    try:
        ours.settimeout(_START_SECONDS)
        length = ANSWER.unpack(_receive(ours, ANSWER.size))[0]
        wrong = _receive(ours, length).decode("utf-8")
        ours.settimeout(None)
    except OSError as error:
        _end(template)
        raise cannot_start(f"it ended with {process.returncode}") from error
    if wrong:
        _end(template)
        raise cannot_start(wrong)
    return template


def _program() -> tuple[str, str]:
    """What Python runs, and where FedThaw's packages lie for it.

    A site's working process has the sources of an approved bundle in memory alone. They are handed
    on as an archive in its temporary folder, which is removed with it.
    """
    if _SCRIPT.is_file():
        return str(_SCRIPT), str(_ROOT)
    archive = Path(tempfile.gettempdir(), "helper.zip")
    if not archive.exists():
        sources: Mapping[str, bytes] = sys.modules[__name__].__spec__.loader.sources  # type: ignore[union-attr]
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as target:
            for name, content in sources.items():
                target.writestr(name, content)
            target.writestr("__main__.py", sources["client/imaging/helper_process.py"])
        write_private(archive, data.getvalue())
    return str(archive), str(archive)


def cannot_start(why: str) -> FedThawError:
    """The error for a helper that does not come up."""
    return FedThawError(
        f"The process that decodes images cannot start ({why}). Check the installation with "
        f"`{sys.executable} -m pip check`, and rerun.",
        shareable="the process that decodes its images cannot start; the site's own log says why",
    )


def _receive(control: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = control.recv(size - len(data))
        if not piece:
            raise ConnectionResetError("closed by the other process")
        data += piece
    return data


def _end(template: Template) -> None:
    template.control.close()
    if template.owner == os.getpid():
        try:
            template.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            template.process.kill()
            template.process.wait()


@atexit.register
def end_template() -> None:
    """End this process's template, if it has one."""
    with _lock:
        mine = [one for one in _templates if one.owner == os.getpid()]
        _templates.clear()
    for template in mine:
        _end(template)
