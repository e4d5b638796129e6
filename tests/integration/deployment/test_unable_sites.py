"""A site that is there and cannot train: said at both ends with its reason, and fixed as it runs.

All processes work where the environment names proxies that no HTTP client can use.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.terminal import cli

pytestmark = pytest.mark.slow

TOO_FEW = "it has too few patients of one class to train and to validate on"


def name_unusable_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the processes that are started now; a command in this process would drop them."""
    monkeypatch.setenv("ALL_PROXY", "socks5://user:secret@127.0.0.1:9")
    monkeypatch.setenv("Https_Proxy", "http://[::1")
    monkeypatch.setenv("no_proxy", "[::1],::1/128")


def spoil(site: Path) -> Callable[[], None]:
    """Spoil the site's table, so that nobody is well; returns what puts it right."""
    table = site / "labels.csv"
    good = table.read_text(encoding="utf-8")
    table.write_text(good.replace("well", "unknown"), encoding="utf-8")
    return lambda: _write(table, good)


def take_gpu(site: Path) -> Callable[[], None]:
    """Let the site's settings name a GPU that no machine has; returns what puts it right."""
    settings = site / "site.toml"
    good = settings.read_text(encoding="utf-8")
    settings.write_text(good.replace('"cpu"', '"cuda:77"'), encoding="utf-8")
    return lambda: _write(settings, good)


def _write(table: Path, text: str) -> None:
    table.write_text(text, encoding="utf-8")


def status(deployment: Any, capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    assert cli.run(cli.app, ["server", "status", "--home", str(deployment.home), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_it_is_named_with_its_reason_and_joins_once_fixed(
    deploy: Callable[..., Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = deploy()
    name_unusable_proxies(monkeypatch)
    north, east = deployment.sites
    fix = [spoil(north), take_gpu(east)]
    server = deployment.serve()
    clients = deployment.clients()
    submitted = deployment.submit(reconnect_wait=0, rounds=1)
    refusal = f"north cannot take part: {TOO_FEW}"
    deployment.wait(lambda: refusal in submitted.said, submitted)
    deployment.wait(lambda: "no negative patient" in clients["north"].said, clients["north"])
    deployment.wait(lambda: "asks for device 'cuda:77'" in clients["east"].said, clients["east"])
    deployment.wait(lambda: all(s["problem"] for s in status(deployment, capsys)["sites"].values()))
    sites = status(deployment, capsys)["sites"]
    assert all(site["connected"] for site in sites.values())
    assert TOO_FEW in sites["north"]["problem"]
    assert "the GPU that its site.toml names is not there" in sites["east"]["problem"]
    for one in fix:
        one()
    deployment.finish(submitted)
    assert [list(one["sites"]) for one in deployment.rounds()] == [["east", "north"]] * 2
    # What is of the site's own data stays in its own log, where it is said once.
    assert clients["north"].said.count("no negative patient") == 1
    assert "What kept this site from taking part is fixed" in clients["north"].said
    assert "patient;" not in submitted.said
    assert (deployment.run_folder() / "report.html").exists()
    for process in (server, *clients.values()):
        assert "ALL_PROXY is ignored: socks5://127.0.0.1:9 is a SOCKS proxy" in process.said
        assert "Https_Proxy is ignored" in process.said
        assert "secret" not in process.said
        assert "Traceback" not in process.said
