"""`fedthaw submit`, `stop` and `server status` without a server process."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from server.cli import submit as ordered
from server.link.folder.home import Home, only_one
from server.link.jobs.orders import read_order
from server.link.progress.status import write_status
from server.run.failure import write_failure
from server.run.process import STOP
from server.run.progress import Progress, advance
from shared.deployment.keys import generate_private_key, public_key_line
from shared.errors import RunError
from shared.model.published import cache_folder
from shared.run import bundle
from shared.run.bundle import Bundle
from shared.run.events import RoundStarted, SiteUnable
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round

Here = Callable[..., tuple[int, str, str]]
DIGEST = hashlib.sha256(b"code").hexdigest()


@pytest.fixture
def home(tmp_path: Path, here: Here, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEDTHAW_COORDINATOR", raising=False)
    monkeypatch.setattr(bundle, "build_bundle", lambda: Bundle(b"code", DIGEST))
    assert here("server", "init", "--name", "hub")[0] == 0
    for site in ("north", "east"):
        line = public_key_line(generate_private_key(), site)
        assert here("server", "register", site, line)[0] == 0
    return tmp_path / "coordinator"


def submit(here: Here, *words: str) -> tuple[int, str, str]:
    return here("submit", "--detach", *words)


@pytest.mark.usefixtures("home")
def test_an_order_lies_in_its_folder(
    here: Here, home: Path, write_base: Callable[..., Path]
) -> None:
    write_base(home.parent / "w.safetensors")
    settings = ("--set", "rounds=3", "--set", "weights=w.safetensors", "--set", "backbone=micro")
    code, out, err = submit(here, "--name", "first", *settings)
    assert (code, out) == (0, "")
    assert f"Bundle: {DIGEST}" in err
    assert "fedthaw site approve FOLDER PLAN" in err
    assert "A run waits up to 60 min (round-timeout) for min-sites sites, then fails" in err
    assert "No server process is running here" in err
    order = read_order(home / "runs" / "first")
    assert (order.config.rounds, order.bundle, order.state) == (3, DIGEST, "waiting")
    assert order.config.weights == str(home.parent / "w.safetensors")
    assert (home / "bundles" / f"{DIGEST}.fab").read_bytes() == b"code"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--set", "sites=a,b"), "sites cannot be set here"),
        (("--set", "out=x", "--set", "resume=true"), "out, resume cannot be set here"),
        (("--set", "pooled=true"), "pooled cannot be set here"),
        (("--set", "rounds=-1"), "rounds"),
        (("--set", "unknown=1"), "unknown"),
        (("--name", "../x"), "The run name '../x' is not allowed"),
        (
            ("--set", "min-sites=3"),
            "min-sites is 3, but only east, north are registered here",
        ),
        (("--set", "weights=nope.pt"), "no weights file"),
        (("--set", "weights=coordinator/ca.crt"), "ca.crt"),
        (("--resume", "absent"), "no run absent"),
        (("--resume", "../../x"), "../../x"),
        (("--resume", "a", "--name", "b"), "leave --name out"),
    ],
)
def test_what_will_not_do_leaves_nothing(
    here: Here, home: Path, words: tuple[str, ...], said: str
) -> None:
    code, out, err = submit(here, *words)
    assert (code, out) == (2, "")
    assert said in err
    assert not (home / "runs").exists()


def test_published_weights_that_cannot_be_fetched_order_nothing(
    here: Here, home: Path, monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]
) -> None:
    for name in ("HOME", "TORCH_HOME", "FEDTHAW_CACHE"):
        monkeypatch.setenv(name, str(home.parent / "empty"))
    monkeypatch.setenv("FEDTHAW_WEIGHTS_MIRROR", f"http://127.0.0.1:{free_port()}")
    with only_one(Home(home)):
        write_status(Home(home), {"run": None, "cache": str(cache_folder())})
        code, _, err = submit(here, "--name", "first", "--set", "weights=xrv")
        assert code == 2
        assert "could not be downloaded from http://127.0.0.1" in err
        assert not (home / "runs").exists()
        # A service with a cache of its own may reach more than this user does.
        write_status(Home(home), {"run": None, "cache": "/var/cache/fedthaw/weights"})
        code, _, err = submit(here, "--name", "first", "--set", "weights=xrv")
        assert code == 0
        assert "the run fetches them when it begins" in err


def test_a_report_that_a_killed_server_left_out_is_written(
    here: Here, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from server.cli import submit as module
    from server.report import at_end

    written: list[Path] = []
    folder = home / "runs" / "first"

    def finish(opened: object, order: object, start: int) -> None:
        (folder / "summary.json").write_text("{}")

    monkeypatch.setattr(module, "follow", finish)
    monkeypatch.setattr(at_end, "write_report_at_end", written.append)
    assert here("submit", "--name", "first", "--json", "--set", "weights=random")[0] == 0
    assert written == [folder]
    (folder / "report.html").touch()
    assert here("submit", "--resume", "first")[0] == 2  # complete
    assert written == [folder]


def test_a_name_is_used_once(here: Here, home: Path) -> None:
    assert submit(here, "--name", "first")[0] == 0
    before = (home / "runs" / "first" / "order.json").read_bytes()
    code, _, err = submit(here, "--name", "first")
    assert code == 2
    assert "--resume first" in err
    assert (home / "runs" / "first" / "order.json").read_bytes() == before


def test_a_continued_run_keeps_its_bundle_and_its_settings(
    here: Here, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(here, "--name", "first", "--set", "rounds=3")
    folder = home / "runs" / "first"
    write_failure(folder, RunError("it failed"))
    (folder / STOP).touch()
    monkeypatch.setattr(bundle, "build_bundle", lambda: Bundle(b"newer", "0" * 64))
    code, _, err = submit(here, "--resume", "first", "--set", "backbone=micro")
    assert code == 2
    assert "keeps its backbone" in err
    assert read_order(folder).state == "stopped"
    assert submit(here, "--resume", "first", "--set", "min-sites=1")[0] == 0
    order = read_order(folder)
    assert (order.state, order.bundle) == ("waiting", DIGEST)
    assert (order.config.rounds, order.config.min_sites) == (3, 1)


def test_a_run_that_goes_on_is_not_ordered_anew(here: Here, home: Path) -> None:
    """Its process reads its settings once; and one that is to stop may or may not have heard."""
    submit(here, "--name", "first", "--set", "rounds=3")
    folder = home / "runs" / "first"
    before = (folder / "order.json").read_bytes()
    resume = ("--resume", "first")
    with only_one(Home(home)):
        write_status(Home(home), {"run": "first"})
        code, _, err = submit(here, *resume, "--set", "min-sites=1")
        assert code == 2
        assert "still running; wait until `fedthaw server status` says stopped" in err
        code, _, err = submit(here, *resume)
        assert (code, err) == (0, "first is running already.\n")
        (folder / STOP).touch()
        assert submit(here, *resume)[0] == 2
        assert (folder / STOP).exists()
        assert (folder / "order.json").read_bytes() == before
        # Its process is ending, and says once more why: only then it is ordered again.
        write_failure(folder, RunError("it was stopped"))

        def end() -> None:
            assert (folder / "order.json").read_bytes() == before
            write_failure(folder, RunError("it was stopped"))
            write_status(Home(home), {"run": None})

        ending = threading.Timer(0.5, end)
        ending.start()
        code, _, err = submit(here, *resume, "--set", "min-sites=1")
        ending.join()
        assert code == 0
        assert "Waiting until the process of run first has ended." in err
    order = read_order(folder)
    assert (order.config.min_sites, order.state) == (1, "waiting")


def test_a_process_that_has_ended_runs_nothing(here: Here, home: Path) -> None:
    submit(here, "--name", "first", "--set", "rounds=3")
    write_status(Home(home), {"run": "first"})
    assert submit(here, "--resume", "first", "--set", "min-sites=1")[0] == 0
    assert read_order(home / "runs" / "first").config.min_sites == 1


def test_a_continued_run_is_never_taken_up_as_it_was_before(
    here: Here, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server process looks twice a second, also between two files of the order."""
    submit(here, "--name", "first", "--set", "weights=random", "--set", "backbone=micro")
    folder = home / "runs" / "first"
    before = read_order(folder)
    (folder / STOP).touch()
    write_failure(folder, RunError("The run was stopped."))
    seen = []

    def looked_after(step: Callable[..., object]) -> Callable[..., object]:
        def stepped(*given: object) -> object:
            result = step(*given)
            order = read_order(folder)
            if order.state == "waiting":
                seen.append((order.submitted > before.submitted, (folder / STOP).exists()))
            return result

        return stepped

    for name in ("clear_failure", "write_order", "note_order"):
        monkeypatch.setattr(ordered, name, looked_after(getattr(ordered, name)))
    assert submit(here, "--resume", "first", "--set", "min-sites=1")[0] == 0
    assert seen
    assert set(seen) == {(True, False)}


def test_a_complete_run_is_not_continued(here: Here, home: Path) -> None:
    submit(here, "--name", "first")
    (home / "runs" / "first" / "summary.json").write_text("{}")
    for words in (("submit", "--detach", "--resume", "first"), ("stop", "first")):
        code, _, err = here(*words)
        assert code == 2
        assert "complete" in err


def test_a_failed_run_says_why_and_names_are_whole(
    here: Here, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    name = "a-name-of-a-run-that-is-longer-than-most-2026-11-20-0001"
    submit(here, "--name", name)
    why = "1 of at least 2 sites (min-sites) can take part: north."
    write_failure(home / "runs" / name, RunError(why))
    out = here("server", "status")[1]
    assert "…" not in out
    assert f"{name} failed: {why}" in " ".join(out.split())
    runs = json.loads(here("server", "status", "--json")[1])["runs"]
    assert [(run["state"], run["failure"]) for run in runs] == [("failed", why)]


def test_stop_asks_the_run_to_end(here: Here, home: Path) -> None:
    submit(here, "--name", "first")
    code, _, err = here("stop", "first")
    assert code == 0
    assert "fedthaw submit --resume first" in err
    assert (home / "runs" / "first" / STOP).exists()
    assert here("stop", "absent")[0] == 2
    assert here("stop", "../first")[0] == 2


def test_following_ends_as_the_run_did(
    here: Here, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from server.cli import submit as module

    def finish(opened: object, order: object, start: int) -> None:
        (home / "runs" / "first" / "summary.json").write_text('{"a": 1}')

    monkeypatch.setattr(module, "follow", finish)
    assert here("submit", "--name", "first", "--json")[:2] == (0, '{"a": 1}')

    def fail(opened: object, order: object, start: int) -> None:
        raise RunError("it failed")

    monkeypatch.setattr(module, "follow", fail)
    code, out, err = here("submit", "--name", "second")
    assert (code, out) == (1, "")
    assert err.endswith("fedthaw: it failed\n")


def test_status_shows_sites_and_runs(here: Here, home: Path) -> None:
    here("server", "remove", "east")
    submit(here, "--name", "none")
    assert not (home / "runs").exists()
    here("server", "register", "east", public_key_line(generate_private_key()))
    submit(here, "--name", "first")
    away = {"connected": False, "since": None, "problem": None}
    there = {"connected": True, "since": "2026-01-01T00:00:00.5+00:00"}
    sites = {"north": there, "east": there}
    why = "the GPU that its site.toml names is not there; its own log says more"
    progress = Progress(pid=1)
    for event in (
        SiteUnable("east", f"east cannot take part: {why}.", why),
        RoundStarted(plan_round(RunConfig(), 1), 30, ("north",), (), {"east": why}),
    ):
        progress = advance(progress, event)
        assert progress.unable == {"east": why}
    (home / "runs" / "first" / "progress.json").write_text(
        json.dumps({"pid": 1, "unable": progress.unable})
    )
    write_status(Home(home), {"run": "first", "sites": sites})
    code, out, _ = here("server", "status", "--json")
    status = json.loads(out)
    assert (code, status["serving"]) == (0, False)
    # What a process that has ended wrote last is not passed off as of now.
    assert status["sites"] == {"east": away, "north": away}
    assert [(run["run"], run["state"]) for run in status["runs"]] == [("first", "waiting")]
    with only_one(Home(home)):
        status = json.loads(here("server", "status", "--json")[1])
        assert status["serving"]
        assert status["sites"] == {
            "east": {**there, "problem": why}, "north": {**there, "problem": None}
        }  # fmt: skip
        assert status["runs"][0]["state"] == "running"
        out = here("server", "status")[1]
    assert "Serving." in out
    assert "2026-01-01T00:00:00" in out
    assert "yes, unable to take part" in out
    # Once, however wide the terminal, and not its name twice.
    assert " ".join(out.split()).count("cannot take part") == 1
    assert f"east cannot take part now: {why}." in " ".join(out.split())
    assert "No server process is running here." in here("server", "status")[1]


def test_run_passes_on_what_it_was_told(
    here: Here, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from server.cli import run as module
    from server.link import process

    served: list[process.Listening] = []
    monkeypatch.setattr(process, "serve", lambda opened, listening: served.append(listening))
    monkeypatch.setattr(module, "log_to_terminal", lambda name: None)
    monkeypatch.setattr(module, "keep_freed_memory", lambda: None)
    assert here("server", "run")[0] == 0
    assert here("server", "run", "--host", "127.0.0.1", "--port", 9, "--insecure")[0] == 0
    assert served == [
        process.Listening(None, 8443),
        process.Listening("127.0.0.1", 9, encrypted=False),
    ]
    (home / "server.key").chmod(0o644)
    code, _, err = here("server", "run")
    assert code == 2
    assert "chmod 600" in err
