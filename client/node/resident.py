"""The process that does a site's work, seen from the one that talks to the coordinator."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from multiprocessing import Pipe
from multiprocessing.connection import Connection as PipeEnd
from pathlib import Path

from flwr.app import Context
from flwr.common.serde import context_to_proto
from flwr.proto.message_pb2 import Message as MessageProto
from flwr.proto.message_pb2 import ObjectTree

from client.node.calls import Stopped
from client.node.sandbox.reach import Reach, Stamp
from client.node.transfer import Received
from shared.deployment.wire import PIECE_BYTES, PIECE_VARIABLE
from shared.errors import FedThawError
from shared.memory import keeping
from shared.terminal.noise import own_stderr

WORKER = Path(__file__).with_name("worker.py")
CONFINE = Path(__file__).parent / "sandbox" / "confine.py"
END_SECONDS = 5.0
_LOOK_SECONDS = 0.2
_SECRET = re.compile("PROXY|PASSWORD|PASSPHRASE|SECRET|TOKEN|CREDENTIAL|API_?KEY", re.IGNORECASE)


class WorkerDied(FedThawError):
    """The process ended while it worked: killed, out of memory, or crashed."""


class LimitReached(FedThawError):
    """The process was killed because it took more than the site's owner allows; says of what."""


@dataclass(frozen=True)
class Reply:
    """A reply with its parts as bytes, as it will be sent."""

    message: MessageProto
    tree: ObjectTree
    parts: Mapping[str, bytes]


@dataclass(frozen=True)
class Worker:
    """A running process of one bundle."""

    bundle: str
    process: subprocess.Popen[bytes]
    pipe: PipeEnd
    room: Path
    """The empty folder that it works in, and where its temporary files are."""
    stamp: Stamp | None = None
    """What it was confined to, None where it is not."""


@dataclass(frozen=True)
class Limits:
    """What the work on one message may take; the process is killed beyond it."""

    memory: int | None = None
    """Bytes of resident memory, of the process and all that it starts; only where there is /proc"""
    seconds: float | None = None


def start_worker(
    bundle: str, sources: Mapping[str, bytes], room: Path, reach: Reach | None
) -> Worker:
    """Start a process that runs these sources, in an empty folder of its own.

    `reach` is what it may reach; None confines nothing.
    """
    ours, theirs = Pipe()
    confine = (
        ["-I", str(CONFINE), json.dumps(asdict(reach)), sys.executable] if reach is not None else []
    )
    with theirs:
        process = subprocess.Popen(
            # Isolated (no PYTHON* variables, no user's packages, no working directory), without
            # the module site (no .pth files, no sitecustomize), without compiled files.
            [
                sys.executable, *confine, "-I", "-S", "-B", str(WORKER), str(theirs.fileno()),
                str(room), *library_folders(),
            ],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stderr=own_stderr(),
            env={
                **keeping(without_secrets(os.environ)),
                PIECE_VARIABLE: str(PIECE_BYTES),
                "TMPDIR": str(room),
            },
            # Ctrl-C is for the site's client, which ends its worker itself.
            start_new_session=True,
        )  # fmt: skip
    with suppress(OSError):  # it ended at once, which the first message shows
        ours.send_bytes("\n".join(sources).encode("ascii"))
        for content in sources.values():
            ours.send_bytes(content)
    return Worker(bundle, process, ours, room, reach.stamp() if reach else None)


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that a bundle's code may see: none named like a proxy, secret or API key."""
    return {name: value for name, value in environment.items() if not _SECRET.search(name)}


def library_folders() -> list[str]:
    """Where this environment's packages lie: what a worker without `site` has to be given."""
    paths = sysconfig.get_paths()
    found = [paths["purelib"], paths["platlib"]]
    for package in ("flwr", "torch"):  # installed for the user alone, or by a distribution
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            found.append(str(Path(spec.origin).parents[1]))
    return list(dict.fromkeys(found))


def let_work(
    worker: Worker,
    received: Received,
    context: Context,
    stop: threading.Event,
    limits: Limits = Limits(),
) -> Reply:
    """The app's reply to a message.

    Raises WorkerDied where the process ended instead, LimitReached where it was ended beyond
    `limits`, and Stopped where `stop` is set before there is a reply: the process is ended then.
    """
    reached: list[str] = []
    try:
        with _watched(stop, worker.process, limits, reached):
            return _exchange(worker.pipe, received, context)
    except (EOFError, OSError) as error:
        end_worker(worker)
        if stop.is_set():
            raise Stopped("the site is shutting down") from error
        if reached:
            raise LimitReached(reached[0]) from error
        raise WorkerDied(_how(worker.process.returncode)) from error


def _exchange(pipe: PipeEnd, received: Received, context: Context) -> Reply:
    root = received.tree.object_id
    identifiers = [root, *(name for name in received.parts if name != root)]
    pipe.send_bytes(context_to_proto(context).SerializeToString())
    pipe.send_bytes(" ".join(identifiers).encode("ascii"))
    for identifier in identifiers:
        pipe.send_bytes(received.parts[identifier])
    message = MessageProto.FromString(pipe.recv_bytes())
    tree = ObjectTree.FromString(pipe.recv_bytes())
    names = pipe.recv_bytes().decode("ascii").split()
    return Reply(message, tree, {name: pipe.recv_bytes() for name in names})


@contextmanager
def _watched(
    stop: threading.Event,
    process: subprocess.Popen[bytes],
    limits: Limits,
    reached: list[str],
) -> Iterator[None]:
    """Kill the process when `stop` is set or a limit is reached, so that nobody waits for it."""
    done = threading.Event()
    begun = time.monotonic()

    def watch() -> None:
        while not done.wait(_LOOK_SECONDS):
            if limits.seconds is not None and time.monotonic() - begun > limits.seconds:
                reached.append("hours")
            elif limits.memory is not None and resident_bytes(process.pid) > limits.memory:
                reached.append("memory")
            if stop.is_set() or reached:
                _kill(process)
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def resident_bytes(group: int) -> int:
    """Memory of the processes of a group, pages that several of them share counted for each.

    0 where the system has no /proc to read it from.
    """
    pages = 0
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, ProcessLookupError):
            if os.getpgid(int(entry.name)) == group:
                pages += int((entry / "statm").read_bytes().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def end_worker(worker: Worker) -> None:
    """End the process, politely first."""
    worker.pipe.close()
    try:
        worker.process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        _kill(worker.process)
        worker.process.wait()
    shutil.rmtree(worker.room, ignore_errors=True)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """With whatever it has started: it leads a group of its own."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _how(code: int) -> str:
    if code == -9:
        return "it was killed (signal 9), which the system does when memory runs out"
    return f"it ended with {code}" if code >= 0 else f"it was ended by signal {-code}"
