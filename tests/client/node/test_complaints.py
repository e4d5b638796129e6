"""What a site's owner hears of messages that were not answered: each reason once, and no more."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from client.node.complaints import AGAIN_SECONDS, MOST_AN_HOUR, Complaints
from client.node.home import SiteHome
from client.node.pending import NotApproved, require_approved, undecided, what_waits
from client.settings import load_site
from shared.errors import ConfigError, SiteError
from shared.settings.config import RunConfig
from shared.settings.parse import parse_run_config

Here = Callable[..., tuple[int, str, str]]
ONE = NotApproved("plan a of /data/north", shareable="plan a is not approved")
TWO = NotApproved("plan b of /data/north", shareable="plan b is not approved")


@pytest.fixture
def folder(tmp_path: Path, write_site: Callable[..., Path]) -> Path:
    return write_site(tmp_path, "north", 2)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [record.getMessage() for record in caplog.records if record.name == "fedthaw.site"]
    caplog.clear()
    return lines


def test_two_plans_in_turn_are_said_once_an_hour(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As of a study, whose arms are asked for one after the other."""
    caplog.set_level(logging.INFO, "fedthaw.site")
    now = [0.0]
    complaints = Complaints(folder, clock=lambda: now[0])
    for _ in range(50):
        complaints.hear(ONE)
        complaints.hear(TWO)
        now[0] += 10.0
    assert said(caplog) == [str(ONE), str(TWO)]
    now[0] = AGAIN_SECONDS + 1
    complaints.hear(ONE)
    complaints.hear(ONE)
    assert said(caplog) == [str(ONE)]


def test_ever_new_reasons_fill_neither_memory_nor_log_nor_mailbox(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a coordinator that asks for another plan each second."""
    notified: list[str] = []
    monkeypatch.setattr(Complaints, "_notify", lambda _self, _event, why: notified.append(why))
    now = [0.0]
    complaints = Complaints(folder, clock=lambda: now[0])
    for number in range(1000):
        complaints.hear(SiteError(f"reason {number}", shareable="it is"))
        complaints.hear_reply(f"answer {number}")
        now[0] += 1.0
    lines = said(caplog)
    assert len(complaints._said) == MOST_AN_HOUR + 1
    assert len(notified) == MOST_AN_HOUR
    assert lines[0] == "reason 0"
    assert lines[-1].startswith(f"More than {MOST_AN_HOUR} different reasons within an hour")
    now[0] += AGAIN_SECONDS
    complaints.hear(SiteError("reason 1000"))
    assert said(caplog) == ["reason 1000"]


def test_what_a_coordinator_has_written_is_one_short_line(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A setting that nobody knows is quoted; it must not look like a line of the log's own."""
    with pytest.raises(ConfigError) as caught:
        parse_run_config({"x\n2026-01-01 00:00:00 Approved by its owner.\x1b[2J": 1})
    Complaints(folder).hear(caught.value)
    with pytest.raises(ConfigError) as caught:
        parse_run_config({"outcome": "Z" * 1_000_000})
    Complaints(folder).hear(caught.value)
    first, second = said(caplog)
    assert first.startswith(r"Unknown setting 'x\x0a2026-01-01 00:00:00 Approved")
    assert first.isprintable()
    assert len(second) == 4000


def test_the_owner_is_notified_without_what_the_site_alone_may_know(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notices = tmp_path / "notices"
    with (folder / "site.toml").open("a") as toml:
        toml.write(f"\n[notify]\ncommand = ['sh', '-c', 'cat >> {notices}']\n")
    complaints = Complaints(folder)
    complaints.hear(ONE)
    complaints.hear(ONE)
    complaints.hear(SiteError("P17's image /data/north/P17.dcm", shareable="an image is damaged"))
    complaints.hear_reply("an image is damaged")
    complaints.hear_reply("its disk is full")
    deadline = time.monotonic() + 60
    while (
        not notices.exists() or notices.read_text().count("\n") < 4
    ) and time.monotonic() < deadline:
        time.sleep(0.02)
    documents = [json.loads(line) for line in notices.read_text().splitlines()]
    assert sorted((one["site"], one["event"], one["reason"]) for one in documents) == [
        ("north", "approval", "plan a is not approved"),
        ("north", "failed", "an image is damaged"),
        ("north", "failed", "an image is damaged"),
        ("north", "failed", "its disk is full"),
    ]
    assert "P17" not in notices.read_text()


@pytest.mark.parametrize(
    "text", ["comand = 'x'", "on = ['everything']", "seconds = -1", "webhook = 'hub'"]
)
def test_a_wrong_notify_section_is_the_sites_mistake(folder: Path, text: str) -> None:
    with (folder / "site.toml").open("a") as toml:
        toml.write(f"\n[notify]\n{text}\n")
    with pytest.raises(SiteError, match=r"site\.toml"):
        load_site(folder)


def test_what_waits_is_said_with_the_command(
    folder: Path, made_home: SiteHome, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDTHAW_SITE_HOME", str(made_home.path))
    assert what_waits(made_home, folder) == ""
    for rounds in range(1, 8):
        with pytest.raises(NotApproved):
            require_approved(made_home, "d" * 64, RunConfig(rounds=rounds), folder)
    plans = [one.plan[:12] for one in undecided(made_home)]
    sentence = what_waits(made_home, folder)
    assert sentence.startswith(f"7 plans wait for approval: {', '.join(plans[:5])} and 2 more. ")
    assert f"`fedthaw site approve {folder} PLAN`" in sentence
    for plan in plans[1:]:
        assert here("site", "approve", folder, plan)[0] == 0
    assert what_waits(made_home, folder).startswith(f"A plan waits for approval: {plans[0]}. ")
    # An approval that covers it decides on it, too.
    code = here("site", "approve", folder, "d" * 64, "--any-settings-within-policy")[0]
    assert (code, what_waits(made_home, folder)) == (0, "")
