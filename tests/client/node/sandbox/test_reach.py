"""No path that is granted holds a secret, and every other neighbour of one is granted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from client.node.sandbox import reach as module
from client.node.sandbox.reach import _around, reach_of
from client.settings import load_site

NAMES = st.lists(st.sampled_from("abc"), min_size=1, max_size=4)


def test_beside_secrets_all_else_is_granted(tmp_path: Path) -> None:
    for name in ("data/x.csv", "data/images/1.png", "data/federation/key", "other/y"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    secrets = tmp_path / "data" / "federation"
    beside = [str(tmp_path / name) for name in ("data/images", "data/x.csv", "other")]
    assert list(_around([str(tmp_path)], secrets)) == beside
    assert list(_around([str(secrets), str(secrets / "key")], secrets)) == []
    assert list(_around([str(tmp_path / "data2"), str(tmp_path / "other")], secrets)) == [
        str(tmp_path / "data2"), str(tmp_path / "other"),
    ]  # fmt: skip


def test_a_link_to_secrets_is_seen_through(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "secrets")
    assert list(_around([str(tmp_path / "link")], tmp_path / "secrets")) == []


def test_a_run_may_read_its_teacher(tmp_path: Path, write_site: Callable[..., Path]) -> None:
    teacher = tmp_path / "runs" / "teacher"
    site = load_site(write_site(tmp_path, "north", more=f'teacher = "{teacher}"'))
    room, kept, secrets = (tmp_path / name for name in ("room", "kept", "secrets"))
    assert str(teacher) in reach_of(site, room, kept, secrets).read
    assert str(teacher) not in reach_of(replace(site, teacher=None), room, kept, secrets).read
    hidden = replace(site, teacher=str(secrets / "teacher"))
    assert hidden.teacher not in reach_of(hidden, room, kept, secrets).read


@given(path=NAMES, secret=NAMES)
def test_no_granted_path_is_at_above_or_below_a_secret(path: list[str], secret: list[str]) -> None:
    def names(folder: str) -> list[str]:
        return list("abc") if folder.count("/") < 6 else []

    original = module.os.listdir  # type: ignore[attr-defined]
    module.os.listdir = names  # type: ignore[attr-defined]
    try:
        hidden = "/r/" + "/".join(secret)
        for granted in module._beside("/r/" + "/".join(path), hidden):
            assert not f"{hidden}/".startswith(f"{granted}/")
            assert not f"{granted}/".startswith(f"{hidden}/")
    finally:
        module.os.listdir = original  # type: ignore[attr-defined]
