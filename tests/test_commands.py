"""What the installed command shows: help with examples, exit codes, plain lines, JSON."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import pytest

from server.local.request import PHANTOM_HOSPITALS
from shared.phantoms.hospitals import HOSPITALS
from shared.terminal import cli

FEDTHAW = str(Path(sys.executable).parent / "fedthaw")
COMMANDS = [
    (), ("simulate",), ("evaluate",), ("predict",), ("export",), ("report",), ("study",),
    ("settings",),
    ("site", "check"), ("site", "phantoms"),
    ("site", "init"), ("site", "key"), ("site", "approve"), ("site", "revoke"),
    ("server", "init"), ("server", "invite"), ("server", "register"), ("server", "remove"),
    ("server", "sites"), ("server", "renew"), ("server", "run"), ("server", "status"),
    ("site", "run"), ("site", "log"), ("submit",), ("stop",), ("health",),
]  # fmt: skip
TINY = [
    word
    for setting in ("backbone=micro", "weights=random", "image-size=32", "threads=1", "rounds=1")
    for word in ("--set", setting)
]
LIGHT = [
    *((*words, "--help") for words in COMMANDS),
    ("server", "init", "--name", "hub"), ("server", "invite", "north"), ("server", "sites"),
    ("server", "status"), ("server", "status", "--json"), ("server", "renew"),
    ("site", "init", "north", "--invitation", "coordinator/invitations/north.json"),
    ("site", "key", "north"), ("site", "log", "north"), ("site", "log", "north", "--json"),
]  # fmt: skip
"""What a person types and waits for, and what has nothing to compute."""
HEAVY = {"torch", "flwr", "numpy", "sklearn", "pydicom", "mlflow", "tensorboard"}
ESCAPE = "\x1b"
Here = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_help_of_each_command_has_an_example(here: Here, words: tuple[str, ...]) -> None:
    code, out, err = here(*words, "--help")
    assert (code, err) == (0, "")
    assert re.search(rf"Example: fedthaw {' '.join(words)}", re.sub(r"\s+", " ", out))
    assert ESCAPE not in out


@pytest.mark.parametrize("words", [w for w in COMMANDS if w], ids=" ".join)
def test_the_help_says_what_each_argument_is(here: Here, words: tuple[str, ...]) -> None:
    """Some versions of click and typer do not go together, and it would be empty."""
    _, out, _ = here(*words, "--help")
    usage = re.search(rf"Usage: [^\n]*?{words[-1]} (.*?)\n\s*\n", out, flags=re.DOTALL)
    assert usage
    named = set(usage[1].split()) - {"[OPTIONS]", "COMMAND", "[ARGS]..."}
    panel = "".join(re.findall(r"Arguments ─.*?╰", out, flags=re.DOTALL))
    rows = re.findall(r"^│ [* ] {1,5}[a-z]\w* .*│$", panel, flags=re.MULTILINE)
    assert len(rows) == len(named)
    for row in rows:
        assert re.search(r"[A-Z][a-z']* -*[a-z]+", row), row


@pytest.mark.parametrize("words", [("study",), ("site", "approve")], ids=" ".join)
def test_paragraphs_of_help_fill_their_lines(
    here: Here, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line breaks where the next word has no room, not where the source's line did."""
    monkeypatch.setenv("COLUMNS", "60")
    text = here(*words, "--help")[1].split("╭")[0]
    lines = [line.strip() for line in text.splitlines()]
    broken = [pair for pair in pairwise(lines) if all(pair)]
    assert broken
    assert all(len(line) + 1 + len(after.split()[0]) > 58 for line, after in broken)


def test_help_names_every_command(here: Here) -> None:
    assert {words[0] for words in COMMANDS if words} == set(cli.COMMANDS)
    for group in ("site", "server"):
        _, out, _ = here(group, "--help")
        assert {words[1] for words in COMMANDS if words[:1] == (group,)} <= set(out.split())


def test_the_overview_is_there_at_once() -> None:
    """Without the libraries that train, which take seconds."""
    done = subprocess.run(
        [FEDTHAW, "--help"], env=os.environ | {"PYTHONPROFILEIMPORTTIME": "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ESCAPE not in done.stdout
    names = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "shared.terminal.cli" in names
    assert not {"torch", "flwr", "numpy", "pydicom", "server", "client"} & names


def test_light_commands_do_without_the_libraries_that_train(
    tmp_path: Path, write_site: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other in one process, which names the first that brings one of them."""
    for name in ("FEDTHAW_COORDINATOR", "FEDTHAW_SITE_HOME"):
        monkeypatch.delenv(name, raising=False)
    folder = write_site(tmp_path, "north", 2)
    (folder / "federation").mkdir(mode=0o700)
    (folder / "federation" / "audit.jsonl").write_text(
        json.dumps({"at": "2026-01-01", "to": "hub", "type": "train", "round": "1", "bytes": 9})
    )
    program = (
        "import sys\nfrom shared.terminal import cli\n"
        f"for words in {LIGHT!r}:\n"
        " assert cli.run(cli.app, words) == 0, words\n"
        f" heavy = {HEAVY!r} & set(sys.modules)\n"
        " assert not heavy, (words, heavy)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "2026-01-01" in done.stdout


def test_what_waits_for_days_does_so_without_pytorch() -> None:
    """The server, a site, and who watches a run or a study; a submitted study is waited for too."""
    modules = (
        "server.link.process", "flwr.superlink.main", "client.node.loop", "server.cli.submit",
        "server.cli.study_deployed",
    )  # fmt: skip
    program = (
        "import sys, importlib\n"
        f"for name in {modules!r}:\n"
        " importlib.import_module(name)\n"
        " assert not {'torch', 'sklearn'} & set(sys.modules), name\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_version(here: Here) -> None:
    assert here("--version") == (0, f"fedthaw {version('fedthaw')}\n", "")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("simulat",), "simulat"),
        (("site", "chek"), "chek"),
        (("simulate", "--rounds", "3"), "--rounds"),
        (("simulate", "--backend", "spark"), "spark"),
        (("site", "check"), "FOLDER"),
        (("site", "check", ".", "--image-size", "7"), "--image-size"),
        (("site", "check", ".", "--image-fit", "zoom"), "zoom"),
        (("site", "phantoms", "x", "--image-side", "1"), "--image-side"),
        (("evaluate", "run"), "COHORT"),
        (("server", "init"), "--name"),
        (("server", "init", "--name", "hub", "--port", "0"), "--port"),
        (("server", "renew", "--days", "0"), "--days"),
        (("server", "register", "north"), "KEY"),
        (("site", "revoke", "."), "HASH"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_a_mistyped_command_line(here: Here, words: tuple[str, ...], named: str) -> None:
    code, out, err = here(*words)
    assert (code, out) == (2, "")
    assert named in err
    assert "--help" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("words", [(), ("site",), ("server",)], ids=["fedthaw", "site", "server"])
def test_without_a_command_there_is_help(here: Here, words: tuple[str, ...]) -> None:
    code, out, err = here(*words)
    assert code == 2
    assert "Usage: " in out + err


def test_json_is_all_that_is_printed(
    tmp_path: Path, write_site: Callable[..., Path], here: Here
) -> None:
    site, run = write_site(tmp_path, "north", 12), tmp_path / "run"
    summary = json.loads(here("simulate", site, *TINY, "--out", run, "--json")[1])
    assert summary == json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert (summary["sites"], summary["pooled"]["positives"]) == (["north"], 1)
    report = json.loads(here("site", "check", site, "--image-size", 32, "--json")[1])
    assert (report["site"], report["images_admitted"], report["problems"]) == ("north", 16, [])
    assert "in 11 rounds" in (run / "report.html").read_text(encoding="utf-8")
    evaluation = json.loads(here("evaluate", run, site, "--json")[1])
    assert set(evaluation["cohorts"][0]["metrics_at_0.5"]) == set(summary["pooled"])


@pytest.mark.usefixtures("measured")
def test_piped_output_is_plain_lines(
    tmp_path: Path, write_site: Callable[..., Path], here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = write_site(tmp_path, "north", 12, policy="")
    monkeypatch.chdir(tmp_path)
    assert not sys.stderr.isatty()
    settings = ("--set", "probe-rounds=1", "--set", "end=last")
    code, out, err = here("simulate", site, *TINY, *settings, "--out", "run")
    assert code == 0
    assert ESCAPE not in out + err
    assert "\r" not in out + err
    # What the rules of a deployed site would refuse is one line a site.
    note, begun, estimate, *rounds = err.splitlines()
    assert note.startswith("north: Deployed, this site would refuse the run: least-training-")
    assert re.fullmatch(rf"Run \S+ begins: 2 rounds with north\. Folder: {tmp_path}/run", begun)
    assert estimate.startswith("Estimate: about ")
    assert [line.partition(":")[0] for line in rounds] == ["Round 1/2", "Round 2/2"]
    assert out.splitlines()[-1].endswith(f"Run folder: {tmp_path}/run")


def test_a_reader_that_leaves_early_is_no_fault() -> None:
    """As in `fedthaw site check north | head -1`."""
    program = (
        "import sys\nfrom shared.terminal import cli\n"
        "def command(**_):\n for _ in range(99999): print('line')\n sys.stdout.flush()\n"
        "sys.exit(cli.run(command, []))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "line\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_what_the_operating_system_refuses_is_no_fault_of_the_program(
    tmp_path: Path, here: Here
) -> None:
    (tmp_path / "file").touch()
    code, _, err = here("site", "phantoms", tmp_path / "file" / "hospitals")
    assert (code, err.count("\n")) == (1, 1)
    assert err == (
        f"fedthaw: {tmp_path}/file/hospitals/north: Not a directory; fix this and rerun.\n"
    )


def test_the_demo_knows_the_phantoms_that_are_made() -> None:
    assert tuple(profile.name for profile in HOSPITALS) == PHANTOM_HOSPITALS
