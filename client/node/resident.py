"""The process that does a site's work, seen from the one that speaks with the coordinator."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
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
from shared.memory import KEEPING
from shared.noise import own_stderr

WORKER = Path(__file__).with_name("worker.py")
CONFINE = Path(__file__).parent / "sandbox" / "confine.py"
END_SECONDS = 5.0
_LOOK_SECONDS = 0.2


class WorkerDied(FedThawError):
    """The process ended while it worked: killed, out of memory, or crashed."""


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
    scratch: Path
    """Its temporary files, removed when it ends."""
    stamp: Stamp | None = None
    """What it was confined to, None where it is not."""


def start_worker(bundle: str, folder: Path, reach_in: Callable[[Path], Reach | None]) -> Worker:
    """Start a process that runs the bundle in this folder.

    `reach_in(scratch)` says what it may reach beside its temporary folder; None confines nothing.
    """
    ours, theirs = Pipe()
    scratch = Path(tempfile.mkdtemp(prefix="fedthaw-"))
    reach = reach_in(scratch)
    confine = (
        ["-I", str(CONFINE), json.dumps(asdict(reach)), sys.executable] if reach is not None else []
    )
    with theirs:
        process = subprocess.Popen(
            [
                sys.executable,
                *confine,
                "-P",
                str(WORKER),
                str(theirs.fileno()),
                str(folder),
            ],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stderr=own_stderr(),
            env=os.environ | KEEPING | {PIECE_VARIABLE: str(PIECE_BYTES), "TMPDIR": str(scratch)},
            # Ctrl-C is for the site's client, which ends its worker itself.
            start_new_session=True,
        )
    return Worker(bundle, process, ours, scratch, reach.stamp() if reach else None)


def let_work(worker: Worker, received: Received, context: Context, stop: threading.Event) -> Reply:
    """The app's reply to a message.

    Raises WorkerDied where the process ended instead, and Stopped where `stop` is set before there
    is a reply: the process is ended then.
    """
    try:
        with _killed_at(stop, worker.process):
            return _exchange(worker.pipe, received, context)
    except (EOFError, OSError) as error:
        end_worker(worker)
        if stop.is_set():
            raise Stopped("the site is being ended") from error
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
def _killed_at(stop: threading.Event, process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill the process when `stop` is set meanwhile, so that nobody waits for its pipe any more."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_LOOK_SECONDS):
            if stop.is_set():
                _kill(process)
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def end_worker(worker: Worker) -> None:
    """End the process, politely first."""
    worker.pipe.close()
    try:
        worker.process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        _kill(worker.process)
        worker.process.wait()
    shutil.rmtree(worker.scratch, ignore_errors=True)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """With whatever it has started: it leads a group of its own."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _how(code: int) -> str:
    if code == -9:
        return "it was killed (signal 9), which the system does when memory runs out"
    return f"it ended with {code}" if code >= 0 else f"it was ended by signal {-code}"
