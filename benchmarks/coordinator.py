"""How far one coordinator goes: seconds a round and its memory as the sites grow.

The coordinator is the real one (TLS, keys, a process for the run). The sites speak the real
protocol from this process, but invent their updates instead of training, each a different one of
full size, so what is measured is the coordinator, and this one machine's two ends of the wire.

    python benchmarks/coordinator.py [--sites 4 32] [--backbone resnet50] [--rounds 2]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import platform
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.common.serde import message_to_proto
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.task_identity import TaskIdentity

from client.node.calls import Connection, RunOver, Stopped
from client.node.connection import Access, activate, beat, connect
from client.node.transfer import fetch_parts, push, receive
from server.federation.global_model import Reference, build_reference, expected_frozen_digest
from shared.deployment.keys import generate_private_key, public_key_line
from shared.metrics.histogram import Histogram
from shared.model.pretrained import load_base
from shared.model.resnet import MICRO
from shared.protocol.describe import SiteDescription
from shared.protocol.evaluate import EvaluateReply
from shared.protocol.train import TrainReply, TrainRequest
from shared.settings.config import RunConfig
from shared.wire.arrays import to_record

FEDTHAW = Path(sys.executable).parent / "fedthaw"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sites", type=int, nargs="+", default=[4, 32])
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    config = RunConfig(
        backbone=given.backbone, weights="random", schedule="full", threads=1,
        probe_rounds=given.rounds, rounds=given.rounds,
    )  # fmt: skip
    logging.getLogger("fedthaw.site").setLevel(logging.CRITICAL)
    reference = build_reference(config, load_base(config))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
          f"flwr {version('flwr')}; {given.backbone}; all on one machine")  # fmt: skip
    print(f"{'sites':>6}{'head-only s':>13}{'full-size s':>13}{'MB up a site':>14}"
          f"{'server peak MB':>16}{'run peak MB':>13}")  # fmt: skip
    for count in given.sites:
        with tempfile.TemporaryDirectory() as place:
            print(measure(Path(place), count, config, reference), flush=True)


def measure(place: Path, count: int, config: RunConfig, reference: Reference) -> str:
    """One row of the table."""
    home = place / "coordinator"
    run("server", "init", str(home), "--name", "127.0.0.1", "--port", "18555")
    keys = {f"site{i:04d}": generate_private_key() for i in range(count)}
    for name, key in keys.items():
        run("server", "register", name, public_key_line(key), "--home", str(home))
    stop = threading.Event()
    with served(home) as server:
        threads = [
            threading.Thread(
                target=site, args=(name, key, home / "ca.crt", reference, stop), daemon=True
            )
            for name, key in keys.items()
        ]
        for thread in threads:
            thread.start()
        peak = Peak(server.pid)
        run("submit", "--name", "bench", "--home", str(home), "--set", f"min-sites={count}",
            *flags(config))  # fmt: skip
        stop.set()
        server_peak, run_peak = peak.end()
    ledger = home / "runs" / "bench" / "ledger.jsonl"
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    probe, full = lines[config.probe_rounds - 1], lines[-1]
    return (
        f"{count:>6}{probe['seconds']:>13.2f}{full['seconds']:>13.2f}"
        f"{full['bytes_up'] / count / 1e6:>14.2f}{server_peak:>16.0f}{run_peak:>13.0f}"
    )


def site(
    name: str, key: ec.EllipticCurvePrivateKey, authority: Path, reference: Reference,
    stop: threading.Event,
) -> None:  # fmt: skip
    """Answer what is asked with invented numbers."""
    with (
        contextlib.suppress(Stopped),
        connect(Access("127.0.0.1:18555", authority, key), stop) as connection,
    ):
        activate(connection)
        threading.Thread(target=beat, args=(connection,), daemon=True).start()
        while not stop.is_set():
            announced = receive(connection)
            if announced is not None:
                with contextlib.suppress(RunOver):
                    answer(name, connection, reference, *announced)


GATHER = threading.Lock()
"""Flower builds messages from one identity for the whole process."""


def answer(
    name: str, connection: Connection, reference: Reference, message: Message, tree: object
) -> None:
    received = fetch_parts(connection, message, tree)  # type: ignore[arg-type]
    with GATHER:
        TaskIdentity.task_id, TaskIdentity.run_id = 1, message.metadata.run_id
        TaskIdentity.node_id = connection.node.node_id
        root = received.tree.object_id
        asked = inflate_object_from_contents(root, dict(received.parts))
        assert isinstance(asked, Message)
        asked.metadata.__dict__["_message_id"] = root
        reply = Message(invent(name, asked, reference), reply_to=asked)
        reply.metadata.__dict__["_message_id"] = reply.object_id
        with no_object_id_recompute():
            objects = get_all_nested_objects(reply)
            reply_tree = get_object_tree(reply)
            parts = {key: objects.pop(key).deflate() for key in list(objects)}
        proto = message_to_proto(remove_content_from_message(reply))
        del received, asked, reply
    push(connection, proto, reply_tree, parts, 0.0)


def invent(name: str, asked: Message, reference: Reference) -> RecordDict:
    histogram = Histogram.from_logits(np.array([0.5, -0.5]), np.array([1, 0]))
    match asked.metadata.message_type:
        case "query":
            return SiteDescription(name, reference.base.digest, 10, 10).to_content()
        case "evaluate":
            return EvaluateReply(name, histogram, False, 0.1).to_content()
    plan = TrainRequest.from_content(asked.content, MICRO).plan
    generator = np.random.default_rng(abs(hash((name, plan.round))))
    delta = {
        spec.name: 1e-3 * generator.random(spec.shape, dtype=np.float32)
        for spec in reference.specs(plan.trainable)
    }
    return TrainReply(
        site=name, round=plan.round, frozen=expected_frozen_digest(reference, plan.trainable),
        delta=to_record(delta), images=10, patients=10, steps=1, loss=0.5, histogram=histogram,
        suppress=False, train_seconds=0.0, evaluate_seconds=0.0, peak_memory=0,
        continued_from=plan.round - 1,
    ).to_content()  # fmt: skip


class Peak:
    """The most memory (MB, resident) of a server process, and of its run's process."""

    def __init__(self, pid: int) -> None:
        self._pid, self._stop = pid, threading.Event()
        self._most = {"server": 0.0, "run": 0.0}
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            children = Path(f"/proc/{self._pid}/task/{self._pid}/children")
            with contextlib.suppress(OSError):
                pids = {"server": [self._pid], "run": list(map(int, children.read_text().split()))}
                for kind, these in pids.items():
                    for pid in these:
                        self._most[kind] = max(self._most[kind], _resident(pid))

    def end(self) -> tuple[float, float]:
        self._stop.set()
        self._thread.join()
        return self._most["server"], self._most["run"]


def _resident(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1e3
    return 0.0


@contextlib.contextmanager
def served(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [FEDTHAW, "server", "run", "--home", home, "--host", "127.0.0.1"],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def flags(config: RunConfig) -> list[str]:
    changed = {
        key: value for key, value in config.to_flat().items() if value != RunConfig().to_flat()[key]
    }
    return [word for key, value in changed.items() for word in ("--set", f"{key}={value}")]


def run(*words: str) -> None:
    subprocess.run([FEDTHAW, *words], check=True, capture_output=True)


if __name__ == "__main__":
    main()
