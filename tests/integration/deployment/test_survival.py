"""Hospitals and coordinator killed, cut off, late and slow: what becomes of the run.

The oracle is the model of an undisturbed simulation with the same settings: where all sites took
part in every round, the deployed run's model has its very bytes.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
Deploy = Callable[..., Any]
Undisturbed = Callable[..., str]


def everybody(rounds: list[dict[str, Any]]) -> list[list[str]]:
    return [sorted(one["sites"]) for one in rounds]


@pytest.mark.parametrize("moment", ["training", "uploading"])
def test_a_killed_site_that_is_started_again(
    deploy: Deploy, undisturbed: Undisturbed, moment: str
) -> None:
    deployment = deploy()
    deployment.serve()
    north, east = deployment.sites
    seen = deployment.reachable(deployment.sites[0]) / "seen"
    faults: dict[str, object] = {"seen": seen}
    if moment == "training":
        faults |= {"site": "north", "round": 3, "act": "wait"}
    else:
        faults |= {"upload": 20}  # of about seven parts a reply: in round 2
    killed = deployment.client(north, faults=faults)
    deployment.client(east)
    submitted = deployment.submit()
    deployment.wait(seen.exists, submitted)
    killed.kill()
    deployment.client(north)
    deployment.finish(submitted)
    assert everybody(deployment.rounds()) == [["east", "north"]] * 5
    assert deployment.model() == undisturbed()


@pytest.mark.parametrize("moment", ["training", "uploading"])
def test_a_killed_site_that_stays_away(deploy: Deploy, moment: str) -> None:
    deployment = deploy(3)
    deployment.serve()
    north, east, west = deployment.sites
    seen = deployment.reachable(deployment.sites[0]) / "seen"
    faults: dict[str, object] = {"seen": seen}
    if moment == "training":
        faults |= {"site": "north", "round": 3, "act": "wait"}
    else:
        faults |= {"upload": 20}
    killed = deployment.client(north, faults=faults)
    for site in (east, west):
        deployment.client(site)
    submitted = deployment.submit(min_sites=2, reconnect_wait=3, end="guarded")
    deployment.wait(seen.exists, submitted)
    killed.kill()
    said = deployment.finish(submitted)
    rounds = deployment.rounds()
    without = [one for one in rounds if "north" not in one["sites"]]
    assert len(rounds) == 5
    assert without
    assert without == rounds[-len(without) :]
    assert without[0]["refused"] == {"north": "its connection is lost for 3 s"}
    assert all(one["absent"] == ["north"] for one in without[1:])
    assert "The connection to north is lost" in said
    assert "begins without north" in said
    summary = json.loads((deployment.run_folder("run") / "summary.json").read_text("utf-8"))
    assert summary["end"]["sites"] == ["east", "west"]  # they choose the final model
    assert summary["end"]["missing"] == {"north": "not connected"}


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_site_that_is_ended_while_it_trains(
    deploy: Deploy, undisturbed: Undisturbed, kind: signal.Signals
) -> None:
    """At once, and with a good-bye: the run waits for it, and nothing there is a failure."""
    deployment = deploy()
    deployment.serve()
    north, east = deployment.sites
    seen = deployment.reachable(deployment.sites[0]) / "seen"
    fault = {"site": "north", "round": 2, "act": "wait", "seen": seen}
    ended = deployment.client(north, faults=fault)
    deployment.client(east)
    submitted = deployment.submit()
    deployment.wait(seen.exists, submitted)
    ended.popen.send_signal(kind)
    assert ended.popen.wait(30) == 0
    assert "Ending" in ended.said
    assert "Traceback" not in ended.said
    assert "died" not in ended.said
    deployment.wait(lambda: "The connection to north is lost" in submitted.said, submitted)
    deployment.client(north)
    deployment.finish(submitted)
    assert not any(one["refused"] for one in deployment.rounds())
    assert everybody(deployment.rounds()) == [["east", "north"]] * 5
    assert deployment.model() == undisturbed()


def test_a_site_that_is_ended_while_nothing_is_asked_of_it(deploy: Deploy) -> None:
    """It does not wait for an answer to its question, which is 20 s away."""
    deployment = deploy()
    deployment.serve()
    idle = deployment.client(deployment.sites[0])
    deployment.wait(lambda: "Connected to" in idle.said, idle)
    begun = time.monotonic()
    assert idle.end() == 0
    assert time.monotonic() - begun < 10


def test_a_working_process_that_is_killed(deploy: Deploy, undisturbed: Undisturbed) -> None:
    """As when memory runs out: the client stays, and works on the message again."""
    deployment = deploy()
    deployment.serve()
    north, east = deployment.sites
    seen = deployment.reachable(deployment.sites[0]) / "seen"
    client = deployment.client(
        north, faults={"site": "north", "round": 2, "act": "die", "seen": seen}
    )
    deployment.client(east)
    deployment.finish(deployment.submit())
    assert seen.exists()
    assert "killed (signal 9)" in client.said
    assert deployment.model() == undisturbed()


MOMENTS: dict[str, dict[str, object]] = {
    "waiting for replies": {"site": "north", "round": 2, "act": "wait"},
    "aggregating": {"aggregate": 2},
    "writing the checkpoint": {"stall": "round-0002.safetensors"},
    "at a stage change": {"stall": "round-0003.safetensors"},
    "in the final evaluation": {"final": True},
    "writing the model": {"stall": "model.safetensors"},
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_coordinator(deploy: Deploy, undisturbed: Undisturbed, moment: str) -> None:
    """It is started again, as systemd would, and nobody has to submit anything."""
    deployment = deploy()
    seen = deployment.reachable(deployment.sites[0]) / "seen"
    at_the_site = moment in ("waiting for replies", "in the final evaluation")
    faults = MOMENTS[moment] | {"seen": seen}
    server = deployment.serve(faults=None if at_the_site else faults)
    clients = [
        deployment.client(site, faults=faults if at_the_site and site.name == "north" else None)
        for site in deployment.sites
    ]
    submitted = deployment.submit()
    deployment.wait(seen.exists, submitted)
    server.kill()
    deployment.wait(lambda: "The server process has ended" in submitted.said, submitted)
    if at_the_site:
        # Both are killed: the site's fault would go on waiting.
        clients[0].kill()
        deployment.client(deployment.sites[0])
    deployment.serve()
    deployment.finish(submitted)
    assert everybody(deployment.rounds()) == [["east", "north"]] * 5
    assert deployment.model() == undisturbed()


def test_a_coordinator_that_is_ended_and_started_again(
    deploy: Deploy, undisturbed: Undisturbed
) -> None:
    """By SIGTERM, as systemd does; the run goes on by itself, and nothing of it was a failure."""
    deployment = deploy()
    server = deployment.serve()
    gate = deployment.gate(deployment.sites[0], 3)
    deployment.clients(gate)
    submitted = deployment.submit()
    deployment.wait(lambda: gate.holds(3), submitted)
    assert server.end() == 0
    assert "run run goes on when the server is started again" in server.said
    gate.open(3)
    deployment.serve()
    deployment.finish(submitted)
    assert not (deployment.run_folder() / "failure.json").exists()
    assert everybody(deployment.rounds()) == [["east", "north"]] * 5
    assert deployment.model() == undisturbed()


def test_a_process_of_a_run_that_is_ended_from_outside_is_continued_by_hand(
    deploy: Deploy, undisturbed: Undisturbed
) -> None:
    """By SIGTERM. The server would start it again; it is stopped before that, and resumed."""
    deployment = deploy()
    server = deployment.serve()
    gate = deployment.gate(deployment.sites[0], 3)
    deployment.clients(gate)
    submitted = deployment.submit()
    deployment.wait(lambda: gate.holds(3), submitted)
    deployment.kill_run(signal.SIGTERM)
    deployment.command("stop", "run", "--home", deployment.home)
    assert "The run was stopped" in deployment.finish(submitted, code=1)
    deployment.wait(lambda: "Run run is stopped." in server.said, server)
    gate.open(3)
    again = deployment.start("resume", "submit", "--home", deployment.home, "--resume", "run")
    deployment.finish(again)
    assert everybody(deployment.rounds()) == [["east", "north"]] * 5
    assert deployment.model() == undisturbed()


def test_a_killed_process_of_a_run(deploy: Deploy, undisturbed: Undisturbed) -> None:
    """The server starts it again by itself."""
    deployment = deploy()
    deployment.serve()
    gate = deployment.gate(deployment.sites[0], 3)
    deployment.clients(gate)
    submitted = deployment.submit()
    deployment.wait(lambda: gate.holds(3), submitted)
    deployment.kill_run()
    gate.open(3)
    deployment.finish(submitted)
    assert everybody(deployment.rounds()) == [["east", "north"]] * 5
    assert deployment.model() == undisturbed()


def test_a_network_that_is_cut_for_a_minute(
    deploy: Deploy, undisturbed: Undisturbed, proxy: Callable[[int], Any]
) -> None:
    deployment = deploy()
    deployment.serve()
    north, east = deployment.sites
    wire = proxy(deployment.port)
    through = ("--server", f"127.0.0.1:{wire.port}", "--ca", deployment.home / "ca.crt")
    gate = deployment.gate(north, 3)
    client = deployment.client(north, *through, faults=gate.faults)
    deployment.client(east)
    submitted = deployment.submit(reconnect_wait=200)
    deployment.wait(lambda: gate.holds(3), submitted)
    wire.cut(60.0)
    gate.open(3)
    said = deployment.finish(submitted, seconds=200)
    assert "Not connected to" in client.said
    assert "again." in client.said
    assert "The connection to north is lost" in said
    assert "north is connected again" in said
    assert everybody(deployment.rounds()) == [["east", "north"]] * 5
    assert deployment.model() == undisturbed()


def test_a_site_that_joins_in_round_five(deploy: Deploy) -> None:
    """It is asked who it is when that round begins, and nobody waits for its answer."""
    deployment = deploy(3)
    deployment.serve()
    north, east, west = deployment.sites
    gate = deployment.gate(north, 4, 5)
    deployment.client(north, faults=gate.faults)
    deployment.client(east)
    submitted = deployment.submit(min_sites=2, reconnect_wait=1, rounds=12)
    deployment.wait(lambda: gate.holds(4), submitted)
    joining = deployment.client(west)
    deployment.wait(lambda: "Connected to" in joining.said, joining)
    gate.open(4)
    deployment.wait(lambda: deployment.answered(west) == ["query"], submitted)
    gate.open(5)
    deployment.finish(submitted)
    took_part = ["west" in one["sites"] for one in deployment.rounds()]
    assert took_part == sorted(took_part)
    assert took_part[:5] == [False] * 5
    assert took_part[-1]


def test_a_site_that_is_registered_while_the_run_goes_on(deploy: Deploy) -> None:
    """Nobody restarts the server, and nobody else's certificate or key changes."""
    deployment = deploy(3)
    deployment.command("server", "remove", "west", "--home", deployment.home)
    deployment.serve()
    north, east, west = deployment.sites
    gate = deployment.gate(north, 2, 3)
    deployment.client(north, faults=gate.faults)
    deployment.client(east)
    stranger = deployment.client(west)
    submitted = deployment.submit(min_sites=2, reconnect_wait=1, rounds=12)
    deployment.wait(lambda: gate.holds(2), submitted)
    deployment.wait(lambda: "does not know this site's key" in stranger.said, stranger)
    key = west / "federation" / "key.pub"
    deployment.command("server", "register", "west", key, "--home", deployment.home)
    deployment.wait(lambda: "Connected to" in stranger.said, stranger)
    gate.open(2)
    deployment.wait(lambda: deployment.answered(west) == ["query"], submitted)
    gate.open(3)
    deployment.finish(submitted)
    assert "west" in deployment.rounds()[-1]["sites"]


def test_a_site_that_is_away_for_three_rounds(deploy: Deploy) -> None:
    deployment = deploy(3)
    deployment.serve()
    north, _, west = deployment.sites
    gate = deployment.gate(north, 3, 7, 8)
    leaving = deployment.clients(gate)["west"]
    submitted = deployment.submit(min_sites=2, reconnect_wait=1, rounds=14)
    deployment.wait(lambda: gate.holds(3), submitted)
    leaving.end()
    gate.open(3)
    deployment.wait(lambda: gate.holds(7), submitted)
    before = len(deployment.answered(west))
    returning = deployment.client(west)
    deployment.wait(lambda: "Connected to" in returning.said, returning)
    gate.open(7)
    deployment.wait(lambda: len(deployment.answered(west)) > before, submitted)
    gate.open(8)
    deployment.finish(submitted)
    took_part = ["west" in one["sites"] for one in deployment.rounds()]
    assert took_part[:2] == [True] * 2
    assert took_part[3:7] == [False] * 4
    assert took_part[-1]


def test_a_site_that_is_too_slow(deploy: Deploy) -> None:
    deployment = deploy(3)
    deployment.serve()
    gate = deployment.gate(deployment.sites[0], 2)
    deployment.clients(gate)
    submitted = deployment.submit(min_sites=2, round_timeout=60)
    deployment.wait(lambda: len(deployment.rounds()) >= 2, submitted, seconds=200)
    gate.open(2)
    deployment.finish(submitted)
    rounds = deployment.rounds()
    assert rounds[1]["refused"] == {"north": "no reply within 60 s"}
    assert sorted(rounds[1]["sites"]) == ["east", "west"]
    assert everybody(rounds)[0] == ["east", "north", "west"]


def test_too_few_sites_and_then_enough(deploy: Deploy, undisturbed: Undisturbed) -> None:
    """A bounded wait, a clear end, and it goes on when the missing hospital is there."""
    deployment = deploy()
    deployment.serve()
    north, east = deployment.sites
    deployment.client(north)
    said = deployment.finish(deployment.submit(round_timeout=60, reconnect_wait=2), code=1)
    assert "1 of at least 2 sites (min-sites) can take part" in said
    deployment.client(east)
    again = deployment.start(
        "resume", "submit", "--home", deployment.home, "--resume", "run",
        "--set", "round-timeout=600", "--set", "reconnect-wait=60",
    )  # fmt: skip
    deployment.finish(again)
    assert deployment.model() == undisturbed()


def test_a_run_that_is_stopped_and_resumed(deploy: Deploy, undisturbed: Undisturbed) -> None:
    deployment = deploy()
    deployment.serve()
    gate = deployment.gate(deployment.sites[0], 3)
    deployment.clients(gate)
    submitted = deployment.submit()
    deployment.wait(lambda: gate.holds(3), submitted)
    deployment.command("stop", "run", "--home", deployment.home)
    assert "The run was stopped" in deployment.finish(submitted, code=1)
    assert len(deployment.rounds()) == 2
    gate.open(3)
    again = deployment.start("resume", "submit", "--home", deployment.home, "--resume", "run")
    deployment.finish(again)
    assert deployment.model() == undisturbed()


def test_a_renewed_certificate_is_taken_up(deploy: Deploy, presented: Callable[..., bytes]) -> None:
    deployment = deploy()
    server = deployment.serve()
    deployment.clients()
    submitted = deployment.submit()
    deployment.wait(lambda: len(deployment.rounds()) >= 1, submitted)
    before = presented(deployment.port)
    deployment.command("server", "renew", "--home", deployment.home)
    deployment.wait(lambda: "renewed certificate" in server.said, server)
    assert presented(deployment.port) != before
    deployment.finish(submitted)
    assert Path(deployment.run_folder() / "summary.json").exists()
