"""Hospitals and coordinator killed, cut off, late and slow: what becomes of the run.

The oracle is the model of an undisturbed simulation with the same settings: where all sites took
part in every round, the deployed run's model has its very bytes.
"""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
Deploy = Callable[..., Any]
Undisturbed = Callable[..., str]


def everybody(rounds: list[dict[str, Any]]) -> list[list[str]]:
    return [sorted(one["sites"]) for one in rounds]


def test_a_killed_site_that_is_started_again(deploy: Deploy, undisturbed: Undisturbed) -> None:
    """While it uploads, while it trains; and its working process alone, as without memory.

    The last time its client stays, and works on the message again.
    """
    deployment = deploy()
    deployment.serve()
    north, east = deployment.sites
    seen = {name: deployment.reachable(north) / name for name in ("uploading", "training", "died")}
    # Its first reply describes the site, so it is killed in round 2.
    client = deployment.client(north, faults={"upload": 3, "seen": seen["uploading"]})
    deployment.client(east)
    submitted = deployment.submit()
    deployment.wait(seen["uploading"].exists, submitted)
    client.kill()
    assert len(deployment.rounds()) == 1
    fault = {"site": "north", "round": 3, "act": "wait", "seen": seen["training"]}
    client = deployment.client(north, faults=fault)
    deployment.wait(seen["training"].exists, submitted)
    client.kill()
    fault = {"site": "north", "round": 4, "act": "die", "seen": seen["died"]}
    client = deployment.client(north, faults=fault)
    deployment.finish(submitted)
    assert seen["died"].exists()
    assert "killed (signal 9)" in client.said
    assert everybody(deployment.rounds()) == [["east", "north"]] * 5
    assert deployment.model() == undisturbed()


def test_killed_sites_that_stay_away(deploy: Deploy) -> None:
    """One while it trains, the other while it uploads."""
    deployment = deploy(4)
    deployment.serve()
    north, east, west, south = deployment.sites
    seen = {site: deployment.reachable(site) / "seen" for site in (north, west)}
    training = {"site": "west", "round": 2, "act": "wait", "seen": seen[west]}
    dying = {
        north: deployment.client(north, faults={"upload": 3, "seen": seen[north]}),
        west: deployment.client(west, faults=training),
    }
    for site in (east, south):
        deployment.client(site)
    submitted = deployment.submit(min_sites=2, reconnect_wait=3, end="guarded")
    while dying:
        deployment.wait(lambda: any(seen[site].exists() for site in dying), submitted)
        for site in [site for site in dying if seen[site].exists()]:
            dying.pop(site).kill()
    said = deployment.finish(submitted)
    rounds = deployment.rounds()
    assert len(rounds) == 5
    for name in ("north", "west"):
        without = [one for one in rounds if name not in one["sites"]]
        assert without
        assert without == rounds[-len(without) :]
        assert without[0]["refused"][name] == "its connection is lost for 3 s"
        assert all(name in one["absent"] for one in without[1:])
        assert f"The connection to {name} is lost" in said
        assert re.search(rf"begins without .*{name}", said)
    summary = json.loads((deployment.run_folder("run") / "summary.json").read_text("utf-8"))
    assert summary["end"]["sites"] == ["east", "south"]  # they choose the final model
    assert summary["end"]["missing"] == dict.fromkeys(("north", "west"), "not connected")


def test_a_site_that_is_ended_while_it_trains(deploy: Deploy, undisturbed: Undisturbed) -> None:
    """At once, and with a good-bye: the run waits for it, and nothing there is a failure."""
    deployment = deploy()
    deployment.serve()
    north, east = deployment.sites
    deployment.client(east)
    submitted = deployment.submit()
    lost = "The connection to north is lost"
    for number, kind in ((2, signal.SIGTERM), (3, signal.SIGINT)):
        seen = deployment.reachable(north) / kind.name
        fault = {"site": "north", "round": number, "act": "wait", "seen": seen}
        ended = deployment.client(north, faults=fault)
        deployment.wait(seen.exists, submitted)
        ended.popen.send_signal(kind)
        assert ended.popen.wait(30) == 0
        assert "Ending" in ended.said
        assert "Traceback" not in ended.said
        assert "died" not in ended.said
        deployment.wait(lambda times=number - 1: submitted.said.count(lost) >= times, submitted)
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


MOMENTS: dict[str, dict[str, object]] = {
    "waiting for replies": {"site": "north", "round": 2, "act": "wait"},
    "aggregating": {"aggregate": 2},
    "writing the checkpoint": {"stall": "round-0002.safetensors"},
    "at a stage change": {"stall": "round-0003.safetensors"},
    "in the final evaluation": {"final": True},
    "writing the model": {"stall": "model.safetensors"},
}
"""In the order in which a run comes by."""
AT_THE_SITE = ("waiting for replies", "in the final evaluation")


def test_a_killed_coordinator(deploy: Deploy, undisturbed: Undisturbed) -> None:
    """It is started again, as systemd would, and nobody has to submit anything."""
    deployment = deploy()
    north, east = deployment.sites
    deployment.client(east)
    client = None
    submitted = deployment.submit()
    ended = "The server process has ended"
    for number, (moment, fault) in enumerate(MOMENTS.items(), 1):
        seen = deployment.reachable(north) / f"seen {number}"
        faults = fault | {"seen": seen}
        if moment in AT_THE_SITE and client is not None:
            client.kill()
        if moment in AT_THE_SITE or client is None:
            client = deployment.client(north, faults=faults)
        server = deployment.serve(faults=None if moment in AT_THE_SITE else faults)
        deployment.wait(seen.exists, submitted)
        server.kill()
        deployment.wait(lambda times=number: submitted.said.count(ended) >= times, submitted)
        if moment in AT_THE_SITE:
            # Both are killed: the site's fault would go on waiting.
            client.kill()
            client = deployment.client(north)
    deployment.serve()
    deployment.finish(submitted)
    assert everybody(deployment.rounds()) == [["east", "north"]] * 5
    assert deployment.model() == undisturbed()


def test_a_run_that_its_processes_leave(deploy: Deploy, undisturbed: Undisturbed) -> None:
    """Its own process is killed, the server ended, and its own process ended from outside.

    By SIGTERM the latter two, as systemd does. The server starts the run's process again by itself,
    and so does the next server; nothing of it was a failure. Where the run is stopped before that,
    or just stopped, it is resumed by hand.
    """
    deployment = deploy()
    server = deployment.serve()
    gate = deployment.gate(deployment.sites[0], 2, 3, 4, 5)
    deployment.clients(gate)
    submitted = deployment.submit()

    deployment.wait(lambda: gate.holds(2), submitted)
    deployment.kill_run()
    gate.open(2)

    deployment.wait(lambda: gate.holds(3), submitted)
    assert server.end() == 0
    assert "run run goes on when the server is started again" in server.said
    gate.open(3)
    server = deployment.serve()
    deployment.wait(lambda: gate.holds(4), submitted)
    assert not (deployment.run_folder() / "failure.json").exists()

    deployment.kill_run(signal.SIGTERM)
    deployment.command("stop", "run", "--home", deployment.home)
    assert "The run was stopped" in deployment.finish(submitted, code=1)
    deployment.wait(lambda: "Run run is stopped." in server.said, server)
    gate.open(4)
    resume = ("submit", "--home", deployment.home, "--resume", "run")
    again = deployment.start("resume", *resume)

    deployment.wait(lambda: gate.holds(5), again)
    deployment.command("stop", "run", "--home", deployment.home)
    assert "The run was stopped" in deployment.finish(again, code=1)
    assert len(deployment.rounds()) == 4
    gate.open(5)
    deployment.finish(deployment.start("again", *resume))
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


def test_a_site_that_is_registered_in_round_four_and_later_away(deploy: Deploy) -> None:
    """Nobody restarts the server, and nobody else's certificate or key changes.

    A site that joins is asked who it is when the next round begins, and nobody waits for its
    answer; one that has been away for three rounds is, too.
    """
    deployment = deploy(3)
    deployment.command("server", "remove", "west", "--home", deployment.home)
    deployment.serve()
    north, east, west = deployment.sites
    gate = deployment.gate(north, *range(4, 16))
    deployment.client(north, faults=gate.faults)
    deployment.client(east)
    joining = deployment.client(west)
    # Of the default schedule a run may end before the site is back.
    submitted = deployment.submit(min_sites=2, reconnect_wait=1, rounds=20, schedule="progressive")
    deployment.wait(lambda: gate.holds(4), submitted)
    deployment.wait(lambda: "does not know this site's key" in joining.said, joining)
    key = west / "federation" / "key.pub"
    deployment.command("server", "register", "west", key, "--home", deployment.home)
    deployment.wait(lambda: "Connected to" in joining.said, joining)
    gate.open(4)
    deployment.wait(lambda: deployment.answered(west) == ["query"], submitted)

    def until_after(number: int) -> int:
        gate.open(number)
        deployment.wait(lambda: gate.holds(number + 1), submitted)
        return number + 1

    number = 5
    while "train" not in deployment.answered(west):
        assert number < 10
        number = until_after(number)
    joining.end()
    left = number
    while number < left + 4:
        number = until_after(number)
    before = len(deployment.answered(west))
    returning = deployment.client(west)
    deployment.wait(lambda: "Connected to" in returning.said, returning)
    gate.open(number)
    deployment.wait(lambda: len(deployment.answered(west)) > before, submitted)
    for rest in range(number + 1, 16):
        gate.open(rest)
    deployment.finish(submitted)

    took_part = ["west" in one["sites"] for one in deployment.rounds()]
    assert took_part[:5] == [False] * 5
    assert all(took_part[took_part.index(True) : left - 1])
    assert took_part[left : left + 4] == [False] * 4
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
