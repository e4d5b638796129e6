"""The installed command in processes of its own, and the few things that one must know of them."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shared.terminal import cli
from shared.terminal.interruption import interruption_of

FEDTHAW = Path(sys.executable).parent / "fedthaw"
FAULTS = Path(__file__).parent / "faults"
TINY = ("backbone=micro", "weights=random", "image-size=32", "threads=1", "probe-rounds=1")
SECONDS = 150


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        return self.err.splitlines()[-1] if self.err.splitlines() else ""


@dataclass
class Fedthaw:
    """`fedthaw`, started in a folder; what is still running is killed when the test ends."""

    folder: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(
        self, *words: object, faults: dict[str, object] | None = None, prefix: tuple[str, ...] = (),
        **environment: str,
    ) -> subprocess.Popen[str]:  # fmt: skip
        """Start `fedthaw words`, behind the words of `prefix`."""
        variables = os.environ | environment
        if faults:
            document = json.dumps(faults, default=str)
            # The faults first, then whatever it names already.
            paths = os.pathsep.join(filter(None, [str(FAULTS), variables.get("PYTHONPATH", "")]))
            variables |= {"FEDTHAW_TEST_FAULTS": document, "PYTHONPATH": paths}
        process = subprocess.Popen(
            [*prefix, str(FEDTHAW), *map(str, words)],
            cwd=self.folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.started.append(process)
        return process

    def run(
        self, *words: object, faults: dict[str, object] | None = None, prefix: tuple[str, ...] = ()
    ) -> Outcome:
        """Run it to its end."""
        return self.end(self.start(*words, faults=faults, prefix=prefix))

    def end(self, process: subprocess.Popen[str], signal_: int | None = None) -> Outcome:
        """Wait for its end, after sending a signal if one is given; no traceback is ever seen."""
        if signal_ is not None:
            process.send_signal(signal_)
        out, err = process.communicate(timeout=SECONDS)
        assert "Traceback" not in err + out
        return Outcome(process.returncode, out, err)


@pytest.fixture
def fedthaw(tmp_path: Path) -> Iterator[Fedthaw]:
    """The installed command, started in `tmp_path`."""
    command = Fedthaw(tmp_path)
    yield command
    for process in command.started:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """The same command line in this process, which has imported everything already."""

    def run(*words: object) -> Outcome:
        capsys.readouterr()
        code = cli.run(cli.app, [str(word) for word in words])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err + captured.out
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def tiny() -> Callable[..., list[str]]:
    """The words of a simulation of the smallest network; settings may be changed by name."""

    def words(*sites: object, out: object, rounds: int = 3, **changes: object) -> list[str]:
        changed = [f"{key.replace('_', '-')}={value}" for key, value in changes.items()]
        settings = [*TINY, f"rounds={rounds}", *changed]
        chosen = [word for setting in settings for word in ("--set", setting)]
        return ["simulate", *map(str, sites), *chosen, "--out", str(out)]

    return words


@pytest.fixture
def two_sites(tmp_path: Path, write_site: Callable[..., Path]) -> tuple[Path, Path]:
    """Folders of two sites, `north` and `east`, of this test alone."""
    parent = tmp_path / "sites"
    return write_site(parent, "north", 12, seed=1), write_site(parent, "east", 12, seed=2)


@pytest.fixture(scope="session")
def kept_sites(
    tmp_path_factory: pytest.TempPathFactory, write_site: Callable[..., Path]
) -> tuple[Path, Path]:
    """As `two_sites`, for tests that do not change them."""
    parent = tmp_path_factory.mktemp("sites")
    return write_site(parent, "north", 12, seed=1), write_site(parent, "east", 12, seed=2)


@pytest.fixture(scope="session")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, kept_sites: tuple[Path, Path],
    tiny: Callable[..., list[str]], model_of: Callable[[Path], str],
) -> Callable[..., str]:  # fmt: skip
    """The model of a run of these sites, of so many rounds, that nothing has disturbed."""

    @functools.cache
    def simulate(rounds: int = 3) -> str:
        run = tmp_path_factory.mktemp("undisturbed") / "run"
        assert cli.run(cli.app, tiny(*kept_sites, out=run, rounds=rounds)) == 0
        return model_of(run)

    return simulate


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., None]:
    """Wait for a condition while a process lives; fails the test where it ends first."""

    def wait(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline
            if process is not None and process.poll() is not None:
                pytest.fail(f"it ended with {process.returncode}: {process.communicate()}")
            time.sleep(0.02)

    return wait


@pytest.fixture(scope="session")
def rounds_in() -> Callable[[Path], int]:
    """How many rounds the ledger of a run's folder has."""

    def count(run: Path) -> int:
        ledger = run / "ledger.jsonl"
        return ledger.read_text(encoding="utf-8").count("\n") if ledger.exists() else 0

    return count


@pytest.fixture(scope="session")
def model_of() -> Callable[[Path], str]:
    """SHA-256 of a run's final model."""

    def digest(run: Path) -> str:
        return hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()

    return digest


@pytest.fixture(scope="session")
def processes_with() -> Callable[[str], list[str]]:
    """Command lines of the living processes with this text in their environment."""

    def find(mark: str) -> list[str]:
        found = []
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and mark.encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:  # it has ended, or is another user's
                continue
        return [words for words in found if words]

    return find


@pytest.fixture(scope="session")
def obeying_permissions() -> tuple[str, ...]:
    """What to put before a command so that a read-only folder is one for root, too."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root writes everywhere, and there is no setpriv to stop it")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


@pytest.fixture
def outcome_of_signal(fedthaw: Fedthaw) -> Callable[..., Outcome]:
    """End a process by a signal and check that this is what ended it."""

    def end(process: subprocess.Popen[str], kind: signal.Signals) -> Outcome:
        outcome = fedthaw.end(process, kind)
        expected = {
            signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: cli.INTERRUPTED,
            signal.SIGTERM: cli.TERMINATED,
        }  # fmt: skip
        assert outcome.code == expected[kind]
        if kind is not signal.SIGKILL:
            assert isinstance(process.args, list)
            words = process.args[process.args.index(str(FEDTHAW)) + 1 :]
            assert outcome.last_line == f"fedthaw: {interruption_of(words)}"
        return outcome

    return end
