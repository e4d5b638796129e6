"""A coordinator and hospitals as they are deployed: processes, keys, certificates, the loopback."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from client.settings import load_site
from shared.terminal import cli

FEDTHAW = Path(sys.executable).parent / "fedthaw"
FAULTS = Path(__file__).parents[1] / "processes" / "faults"
SETTINGS = {
    "backbone": "micro", "image-size": 32, "threads": 1, "probe-rounds": 1, "rounds": 4,
    "augmentation": "none", "reconnect-wait": 60,
}  # fmt: skip
PATIENTS = {"north": 8, "east": 10, "west": 12, "south": 14}
SECONDS = 240.0


@dataclass
class Process:
    """A process in a group of its own, and its log."""

    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """End it without a chance to say good-bye; what it started is left to itself."""
        self.popen.kill()
        self.popen.wait()

    def end(self) -> int:
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(30)


@dataclass(frozen=True)
class Gate:
    """Holds a site in its training of certain rounds, each until the test opens it."""

    site: str
    rounds: tuple[int, ...]
    path: Path

    @property
    def faults(self) -> dict[str, object]:
        """What the site's process is started with."""
        return {"site": self.site, "hold": self.rounds, "gate": self.path}

    def holds(self, round_number: int) -> bool:
        """Whether the site has come to this round, and has not been let go on."""
        held = Path(f"{self.path}-{round_number}-held").exists()
        return held and not Path(f"{self.path}-{round_number}-open").exists()

    def open(self, round_number: int) -> None:
        Path(f"{self.path}-{round_number}-open").touch()


@dataclass
class Deployment:
    """The folders and processes of one federation."""

    folder: Path
    sites: tuple[Path, ...]
    base: Path
    port: int
    processes: list[Process] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.folder / "coordinator"

    def command(self, *words: object) -> None:
        """A command that succeeds, in this process."""
        assert cli.run(cli.app, [str(word) for word in words]) == 0

    def set_up(self) -> None:
        """What the README tells a coordinator and its sites to do."""
        self.command("server", "init", self.home, "--name", "127.0.0.1", "--port", self.port)
        for site in self.sites:
            self.join(site)

    def join(self, site: Path, *, approve: bool = True) -> None:
        home = ("--home", self.home)
        self.command("server", "invite", site.name, *home)
        invitation = self.home / "invitations" / f"{site.name}.json"
        self.command("site", "init", site, "--invitation", invitation)
        self.command("server", "register", site.name, site / "federation" / "key.pub", *home)
        if approve:
            self.command("site", "approve", site, "--installed", "--any-settings-within-policy")

    def start(self, name: str, *words: object, faults: dict[str, object] | None = None) -> Process:
        """Start `fedthaw words`, with a log of this name."""
        environment = dict(os.environ)
        if faults:
            environment["FEDTHAW_TEST_FAULTS"] = json.dumps(faults, default=str)
            # The faults first, then whatever it names already.
            paths = [str(FAULTS), os.environ.get("PYTHONPATH", "")]
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        log = self.folder / f"{name}-{len(self.processes)}.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(
                [str(FEDTHAW), *map(str, words)],
                cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.processes.append(Process(popen, log))
        return self.processes[-1]

    def serve(self, *more: object, faults: dict[str, object] | None = None) -> Process:
        """Start the coordinator's process and wait until it listens."""
        process = self.start(
            "server", "server", "run", "--home", self.home, "--host", "127.0.0.1", *more,
            faults=faults,
        )  # fmt: skip
        self.wait(lambda: "Listening" in process.said, process)
        return process

    def client(
        self, folder: Path, *more: object, faults: dict[str, object] | None = None
    ) -> Process:
        """Start a site's process."""
        return self.start(folder.name, "site", "run", folder, *more, faults=faults)

    def gate(self, site: Path, *rounds: int) -> Gate:
        """For the site's `faults`: nothing that a test does meanwhile depends on who is faster."""
        return Gate(site.name, rounds, self.reachable(site) / "gate")

    def reachable(self, site: Path) -> Path:
        """Where a site's confined process may leave a file for the test: its cache."""
        cache = load_site(site).cache
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cache

    def answered(self, site: Path) -> list[str]:
        """The kinds of messages that a site has answered, from its own record."""
        record = site / "federation" / "audit.jsonl"
        lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
        entries = [json.loads(line) for line in lines]
        return [entry["type"] for entry in entries if "type" in entry]

    def clients(self, gate: Gate | None = None) -> dict[str, Process]:
        """Start every site's process, the gate's held by it."""
        return {
            site.name: self.client(
                site, faults=gate.faults if gate is not None and gate.site == site.name else None
            )
            for site in self.sites
        }

    def submit(self, name: str = "run", **settings: object) -> Process:
        chosen = SETTINGS | {"weights": self.base, "min-sites": len(self.sites)} | settings
        words = [f"{key.replace('_', '-')}={value}" for key, value in chosen.items()]
        flags = [word for one in words for word in ("--set", one)]
        return self.start("submit", "submit", "--home", self.home, "--name", name, *flags)

    def study(self, *more: object, **settings: object) -> Process:
        """Start a study of two folds, at the coordinator unless `more` names folders."""
        chosen = SETTINGS | {"weights": self.base, "min-sites": len(self.sites)} | settings
        words = [f"{key.replace('_', '-')}={value}" for key, value in chosen.items()]
        flags = [word for one in words for word in ("--set", one)]
        return self.start("study", "study", *more, "--folds", 2, "--repeats", 1, *flags)

    def finish(self, submitted: Process, code: int = 0, seconds: float = SECONDS) -> str:
        """Wait until a submitted run has ended, which it does with this exit code."""
        try:
            submitted.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the run goes on:\n{submitted.said}\n{self.everything()}")
        assert submitted.popen.returncode == code, f"{submitted.said}\n{self.everything()}"
        assert "Traceback" not in submitted.said
        return submitted.said

    def working(self) -> dict[str, set[int]]:
        """Numbers of what works for this deployment: runs' and sites' own processes."""
        found: dict[str, set[int]] = {"flwr-serverapp": set(), "worker.py": set()}
        for pid, words in _processes():
            for kind, numbers in found.items():
                if kind in words and str(self.folder) in words:
                    numbers.add(pid)
        return found

    def kill_run(self, kind: signal.Signals = signal.SIGKILL) -> None:
        """Kill the process of the run that is under way."""
        (pid,) = self.working()["flwr-serverapp"]
        os.kill(pid, kind)

    def run_folder(self, name: str = "run") -> Path:
        return self.home / "runs" / name

    def rounds(self, name: str = "run") -> list[dict[str, Any]]:
        """The ledger's lines."""
        ledger = self.run_folder(name) / "ledger.jsonl"
        if not ledger.exists():
            return []
        lines = ledger.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def model(self, name: str = "run") -> str:
        """SHA-256 of a run's final model."""
        return digest(self.run_folder(name) / "model.safetensors")

    def wait(
        self, condition: Callable[[], object], alive: Process | None = None,
        seconds: float = SECONDS,
    ) -> None:  # fmt: skip
        """Wait until the condition holds; `alive` is a process that must not end before."""
        deadline = time.monotonic() + seconds
        while not condition():
            if alive is not None and alive.popen.poll() is not None:
                pytest.fail(f"it ended with {alive.popen.returncode}:\n{alive.said}")
            if time.monotonic() > deadline:
                pytest.fail(f"waited for {seconds} s in vain:\n{self.everything()}")
            time.sleep(0.05)

    def everything(self) -> str:
        """All logs, for who must understand a failure."""
        logs = [process.log for process in self.processes]
        logs += sorted(self.home.glob("runs/*/coordinator.log"))
        return "\n".join(
            f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in logs
        )


def digest(model: Path) -> str:
    return hashlib.sha256(model.read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, hospital_folders: Callable[[Path], tuple[Path, ...]],
    deployed_base: Path,
) -> Callable[..., str]:  # fmt: skip
    """The final model of a simulation in this process with the same settings: the oracle."""
    known: dict[str, str] = {}

    def simulate(sites: int = 2, **settings: object) -> str:
        chosen = SETTINGS | {"weights": deployed_base} | settings
        key = f"{sites} {chosen}"
        if key not in known:
            folder = tmp_path_factory.mktemp("undisturbed")
            folders = hospital_folders(folder)[:sites]
            words = ["simulate", *folders, "--out", folder / "run"]
            for name, value in chosen.items():
                words += ["--set", f"{name.replace('_', '-')}={value}"]
            assert cli.run(cli.app, [str(word) for word in words]) == 0
            known[key] = digest(folder / "run" / "model.safetensors")
        return known[key]

    return simulate


@pytest.fixture(scope="session")
def deployed_base(
    tmp_path_factory: pytest.TempPathFactory, write_base: Callable[..., Path]
) -> Path:
    """A checkpoint that all sites and the coordinator load."""
    return write_base(tmp_path_factory.mktemp("base") / "base.safetensors")


@pytest.fixture(scope="session")
def hospital_folders(
    write_site: Callable[..., Path], deployed_base: Path
) -> Callable[..., tuple[Path, ...]]:
    """Write the folders of four small sites, the same ones each time.

    With so many `patients` each, where the test looks at what of few is not shown.
    """

    def write(parent: Path, patients: int = 0) -> tuple[Path, ...]:
        return tuple(
            write_site(
                parent, name, patients or few, seed=seed, more=f'weights = "{deployed_base}"'
            )
            for seed, (name, few) in enumerate(PATIENTS.items())
        )

    return write


@pytest.fixture
def deploy(
    tmp_path: Path, hospital_folders: Callable[..., tuple[Path, ...]], deployed_base: Path,
    free_port: Callable[[], int],
) -> Iterator[Callable[..., Deployment]]:  # fmt: skip
    """Make a coordinator and its sites; whatever they started is ended with the test."""
    made: list[Deployment] = []

    def make(sites: int = 2, patients: int = 0) -> Deployment:
        folders = hospital_folders(tmp_path, patients)[:sites]
        deployment = Deployment(tmp_path, folders, deployed_base, free_port())
        deployment.set_up()
        made.append(deployment)
        return deployment

    yield make
    for deployment in made:
        for process in deployment.processes:
            if process.popen.poll() is None:
                process.kill()
    for deployment in made:
        deployment.wait(functools.partial(_is_quiet, deployment.folder), seconds=20)


def _is_quiet(folder: Path) -> bool:
    """Whether no process works in this deployment's folder any more."""
    return not any(str(folder) in words for _, words in _processes())


def _processes() -> list[tuple[int, str]]:
    """Number and command line of everything that runs."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        found.append((int(entry.name), words))
    return found


@dataclass
class Proxy:
    """Passes bytes on between a site and the coordinator, until it is cut."""

    target: int
    listener: socket.socket
    open: list[socket.socket] = field(default_factory=list)
    cut_until: float = 0.0

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def cut(self, seconds: float) -> None:
        """Drop all connections, and take no new ones for so long."""
        self.cut_until = time.monotonic() + seconds
        for one in self.open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self.open.clear()

    def serve(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if time.monotonic() < self.cut_until:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self.target))
            self.open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self.carry, args=(source, sink), daemon=True).start()

    def carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(2**16):
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy() -> Iterator[Callable[[int], Proxy]]:
    """A wire to a port of the loopback that can be cut."""
    made: list[Proxy] = []

    def make(target: int) -> Proxy:
        listener = socket.create_server(("127.0.0.1", 0))
        made.append(Proxy(target, listener))
        threading.Thread(target=made[-1].serve, daemon=True).start()
        return made[-1]

    yield make
    for one in made:
        one.cut(float("inf"))
        one.listener.close()


@pytest.fixture(scope="session")
def presented() -> Callable[[int], bytes]:
    """The certificate that a port of the loopback presents, as DER."""

    def look(port: int) -> bytes:
        pem = ssl.get_server_certificate(("127.0.0.1", port))
        return ssl.PEM_cert_to_DER_cert(pem)

    return look
