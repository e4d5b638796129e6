"""A site's key and the coordinator's certificate are replaced while everything runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.audit.log import read

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_run_goes_on_over_a_change_of_keys(
    deploy: Callable[..., Any], undisturbed: Callable[..., str], tmp_path: Path,
    presented: Callable[[int], bytes],
) -> None:  # fmt: skip
    """Once beside the old key, at the start; once in its place, in the middle of a round.

    Then the coordinator's certificate is renewed, too.
    """
    deployment = deploy()
    site = deployment.sites[0]
    home, secret = site / "federation", tmp_path / "secret"
    secret.write_text("correct horse battery\n", encoding="utf-8")
    secret.chmod(0o600)
    first = (home / "key").read_bytes()

    def renew(*overlap: object) -> str:
        deployment.command("site", "renew-key", site, "--passphrase-file", secret)
        line = str((home / "key.next.pub").read_text(encoding="utf-8"))
        words = ("--renew", *overlap, "--home", deployment.home)
        deployment.command("server", "register", site.name, home / "key.next.pub", *words)
        return line

    def connected() -> dict[str, bool]:
        status = json.loads((deployment.home / "status.json").read_text(encoding="utf-8"))
        return {name: one["connected"] for name, one in status["sites"].items()}

    server = deployment.serve()
    beside = renew()
    # Where the confined process may write.
    gate = replace(deployment.gate(site, 2), path=home / "kept" / "gate")
    process = deployment.client(site, "--passphrase-file", secret, faults=gate.faults)
    other = deployment.client(deployment.sites[1])
    deployment.wait(lambda: "admits the new key" in process.said, process)
    deployment.wait(lambda: all(connected().values()), other)
    assert set(connected()) == {one.name for one in deployment.sites}
    assert (home / "key.pub").read_text(encoding="utf-8") == beside
    assert (home / "key.old").read_bytes() == first
    assert not (home / "key.next").exists()

    submitted = deployment.submit()
    deployment.wait(lambda: gate.holds(2), submitted)
    instead = renew("--overlap-days", 0)
    before = presented(deployment.port)
    deployment.command("server", "renew", "--home", deployment.home)
    deployment.wait(lambda: "renewed certificate" in server.said, server)
    assert presented(deployment.port) != before
    gate.open(2)
    deployment.finish(submitted)
    assert process.said.count("admits the new key") == 2
    assert (home / "key.pub").read_text(encoding="utf-8") == instead
    assert deployment.model() == undisturbed()
    assert set(connected()) == {one.name for one in deployment.sites}
    assert all(list(one["sites"]) == ["east", "north"] for one in deployment.rounds())
    events = [entry.get("event") for entry in read(home / "audit.jsonl")]
    assert events.count("key renewed") == 2
