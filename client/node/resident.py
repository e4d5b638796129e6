"""The process that does a site's work, seen from the one that speaks with the coordinator."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection as PipeEnd
from pathlib import Path

from flwr.app import Context
from flwr.common.serde import context_to_proto
from flwr.proto.message_pb2 import Message as MessageProto
from flwr.proto.message_pb2 import ObjectTree

from client.node.transfer import Received
from shared.deployment.wire import PIECE_BYTES, PIECE_VARIABLE
from shared.errors import FedThawError
from shared.memory import KEEPING

WORKER = Path(__file__).with_name("worker.py")
END_SECONDS = 5.0


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


def start_worker(bundle: str, folder: Path) -> Worker:
    """Start a process that runs the bundle in this folder."""
    ours, theirs = Pipe()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", str(WORKER), str(theirs.fileno()), str(folder)],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=os.environ | KEEPING | {PIECE_VARIABLE: str(PIECE_BYTES)},
        )
    return Worker(bundle, process, ours)


def let_work(worker: Worker, received: Received, context: Context) -> Reply:
    """The app's reply to a message; WorkerDied where the process ended instead."""
    pipe = worker.pipe
    root = received.tree.object_id
    identifiers = [root, *(name for name in received.parts if name != root)]
    try:
        pipe.send_bytes(context_to_proto(context).SerializeToString())
        pipe.send_bytes(" ".join(identifiers).encode("ascii"))
        for identifier in identifiers:
            pipe.send_bytes(received.parts[identifier])
        message = MessageProto.FromString(pipe.recv_bytes())
        tree = ObjectTree.FromString(pipe.recv_bytes())
        names = pipe.recv_bytes().decode("ascii").split()
        return Reply(message, tree, {name: pipe.recv_bytes() for name in names})
    except (EOFError, OSError) as error:
        end_worker(worker)
        raise WorkerDied(_how(worker.process.returncode)) from error


def end_worker(worker: Worker) -> None:
    """End the process, politely first."""
    worker.pipe.close()
    try:
        worker.process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        worker.process.kill()
        worker.process.wait()


def _how(code: int) -> str:
    if code == -9:
        return "it was killed (signal 9), which the system does when memory runs out"
    return f"it ended with {code}" if code >= 0 else f"it was ended by signal {-code}"
