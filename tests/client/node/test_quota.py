"""What a site has answered is counted before it is answered, and stays counted."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.node.home import SiteHome
from client.node.quota import CUT_OFF_SECONDS, HOUR, charge, kind_of, settle
from client.policy.refusal import PolicyError
from client.policy.rules import Policy
from shared.errors import SiteError

DAY = 86_400.0
NOON = 20_000 * DAY + DAY / 2
FEW = dataclasses.replace(
    Policy(), runs_per_day=2, rounds_per_day=3, queries_per_day=2, runs_in_all=3, rounds_in_all=5,
    queries_in_all=4,
)  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> SiteHome:
    return SiteHome(tmp_path)


def ask(home: SiteHome, run: str, kind: str, now: float = NOON, policy: Policy = FEW) -> str | None:
    """The rules that refuse it, None where it is let work, which takes no time."""
    try:
        charge(home, policy, "north", run, kind, lambda: now)  # type: ignore[arg-type]
    except PolicyError as error:
        return ", ".join(one.rule for one in error.refusals)
    settle(home, 0.0)
    return None


def test_a_day_has_so_many_rounds_queries_and_runs(home: SiteHome) -> None:
    assert [ask(home, "a", "round") for _ in range(4)] == [None] * 3 + ["rounds-per-day"]
    assert [ask(home, "a", "query") for _ in range(3)] == [None] * 2 + ["queries-per-day"]
    assert [ask(home, run, "run") for run in "abc"] == [None] * 2 + ["runs-per-day"]
    # What was refused was not charged: tomorrow the rest of all is left.
    later = NOON + DAY
    assert [ask(home, "a", "round", later) for _ in range(3)] == [None] * 2 + ["rounds-in-all"]
    assert ask(home, "c", "run", later) is None
    assert ask(home, "d", "run", later) == "runs-in-all"


def test_a_clock_that_is_set_back_begins_no_new_day(home: SiteHome) -> None:
    assert [ask(home, "a", "query") for _ in range(2)] == [None] * 2
    assert ask(home, "a", "query", NOON - 3 * DAY) == "queries-per-day"


def test_hours_of_work_are_counted(home: SiteHome) -> None:
    policy = dataclasses.replace(Policy(), hours_per_day=3.0, hours_per_run=2.0)
    assert charge(home, policy, "north", "a", "round", lambda: NOON) == 2 * HOUR
    settle(home, 1.5 * HOUR)
    later = NOON + 2 * HOUR
    assert charge(home, policy, "north", "a", "round", lambda: later) == 0.5 * HOUR
    settle(home, HOUR)
    assert ask(home, "a", "round", later, policy) == "hours-per-run"
    assert charge(home, policy, "north", "b", "round", lambda: later) == 0.5 * HOUR
    settle(home, HOUR)
    assert ask(home, "c", "round", later, policy) == "hours-per-day"
    assert ask(home, "c", "round", later + DAY, policy) is None


def test_work_that_was_cut_off_counts(home: SiteHome) -> None:
    policy = dataclasses.replace(Policy(), hours_per_run=2.0)
    charge(home, policy, "north", "a", "round", lambda: NOON)  # and the process is killed
    left = charge(home, policy, "north", "a", "round", lambda: NOON + 100)
    assert left == 2 * HOUR - 100
    left = charge(home, policy, "north", "a", "round", lambda: NOON + 50 * HOUR)
    assert left == 2 * HOUR - 100 - CUT_OFF_SECONDS


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["run", "round", "query"]))))
def test_no_order_of_messages_gets_more(
    tmp_path_factory: pytest.TempPathFactory, messages: list[tuple[str, str]]
) -> None:
    home = SiteHome(tmp_path_factory.mktemp("home"))
    answered = [one for one in messages if ask(home, *one) is None]
    assert sum(kind == "round" for _, kind in answered) <= 3
    assert sum(kind == "query" for _, kind in answered) <= 2
    assert len({run for run, _ in answered}) <= 2


@pytest.mark.parametrize(
    ("message_type", "kind"),
    [("query", "run"), ("train", "round"), ("evaluate", "query"), ("evaluate.count", "query"),
     ("evaluate.compare", "query"), ("query.more", "query"), ("train.sideways", "query")],
)  # fmt: skip
def test_what_a_message_is_charged_as(message_type: str, kind: str) -> None:
    assert kind_of(message_type) == kind


@pytest.mark.parametrize("text", ["", "[", "{}", "null", '{"day": 3}'])
def test_a_damaged_account_answers_nothing(home: SiteHome, text: str) -> None:
    home.quota.write_text(text)
    with pytest.raises(SiteError, match=r"quota\.json cannot be read.*answers nothing"):
        charge(home, FEW, "north", "a", "round")
    assert home.quota.read_text() == text


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace('"run": "a"', '"ran": "a"'),
        lambda text: text.replace('"rounds": 1', '"rounds": 1.5'),
        lambda text: text.replace('"rounds": 1', '"rounds": 1, "rounds": 0'),
        lambda text: text.replace('"seconds": 0.0', '"seconds": NaN'),
        lambda text: text.replace('{"a": ', '{"a": -'),
    ],
    ids=["missing", "no integer", "twice", "NaN", "negative"],
)
def test_an_account_that_was_edited_answers_nothing(
    home: SiteHome, spoil: Callable[[str], str]
) -> None:
    ask(home, "a", "round")
    text = home.quota.read_text().replace('{"a": 0.0', '{"a": 1.0')
    assert spoil(text) != text
    home.quota.write_text(spoil(text))
    with pytest.raises(SiteError, match="answers nothing"):
        charge(home, FEW, "north", "a", "round")


@pytest.mark.parametrize("key", ["rounds", "seconds"])
def test_an_account_below_nothing_is_damaged(home: SiteHome, key: str) -> None:
    ask(home, "a", "round")
    document = json.loads(home.quota.read_text())
    document["today"][key] = -5
    home.quota.write_text(json.dumps(document))
    with pytest.raises(SiteError, match="cannot be read"):
        charge(home, FEW, "north", "a", "round")


def test_what_cannot_be_charged_is_not_answered(home: SiteHome) -> None:
    home.quota.mkdir()
    with pytest.raises(SiteError):
        charge(home, FEW, "north", "a", "round")


WORKING = """
import sys, time
from pathlib import Path
from client.node.home import SiteHome
from client.node.quota import charge
from client.policy.rules import Policy
charge(SiteHome(Path(sys.argv[1])), Policy(rounds_per_day=3), "north", "a", "round")
print("working", flush=True)
time.sleep(600)
"""


def test_kill_9_gives_no_round_for_nothing(home: SiteHome) -> None:
    for left in (2, 1, 0):
        process = subprocess.Popen(
            [sys.executable, "-c", WORKING, str(home.path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert json.loads(home.quota.read_text())["today"]["rounds"] == 3 - left
    done = subprocess.run(
        [sys.executable, "-c", WORKING, str(home.path)], capture_output=True, text=True, check=False
    )
    assert "rounds-per-day is 3 and the run asks for number 4" in done.stderr
