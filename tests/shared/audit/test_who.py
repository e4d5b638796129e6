"""Who is named in an audit log."""

from __future__ import annotations

import pytest

from shared.audit.log import user


def test_who_gave_a_command_by_sudo_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "root")
    assert user({"SUDO_USER": "ann"}) == "root, by sudo from ann"
    assert user({}) == user({"SUDO_USER": "root"}) == "root"


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise OSError("no username set in the environment")

    monkeypatch.setattr("getpass.getuser", nameless)
    monkeypatch.setattr("os.getuid", lambda: 10001)
    assert user({}) == "user 10001"
