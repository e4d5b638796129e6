"""Only what the owner approved may run, and a file in doubt means nothing may."""

from __future__ import annotations

import dataclasses
import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.node.approvals import approve, read_approvals, revoke
from client.node.home import SiteHome
from shared.errors import SiteError
from shared.settings.config import RunConfig
from shared.settings.run_plan import approved_settings, plan_number

ONE, TWO = "0123456789abcdef" * 4, "f" * 64


@pytest.fixture
def home(tmp_path: Path) -> SiteHome:
    return SiteHome(tmp_path)


SETTINGS = approved_settings(RunConfig())
OTHERS = approved_settings(RunConfig(rounds=3, weights="/data/base.pt"))


def test_nothing_is_approved_at_first(home: SiteHome) -> None:
    assert read_approvals(home) == ()


def test_an_approval_is_of_code_and_settings(home: SiteHome) -> None:
    assert approve(home, ONE.upper(), SETTINGS, "the first study")
    assert approve(home, ONE, OTHERS)
    assert approve(home, TWO, None)
    first, second, free = read_approvals(home)
    assert (first.bundle, first.settings, first.note) == (ONE, SETTINGS, "the first study")
    assert first.plan == plan_number(ONE, SETTINGS)
    for settings in (SETTINGS, OTHERS):
        for bundle in (ONE, TWO):
            covering = {a for a in (0, 1, 2) if (first, second, free)[a].covers(bundle, settings)}
            expected = {2} if bundle == TWO else {0 if settings is SETTINGS else 1}
            assert covering == expected
    assert stat.S_IMODE(home.approved.stat().st_mode) == 0o600


@given(st.data())
def test_another_setting_is_another_plan(data: st.DataObject) -> None:
    """But for those of the coordinator's own machine and patience, and fold and seed."""
    other = {
        "out": "elsewhere", "resume": True, "sites": "a:b", "pooled": True, "quick": True,
        "tensorboard": True,
        "round_timeout": 7, "retries": 7, "reconnect_wait": 7, "fold": 1, "seed": 7,
    }  # fmt: skip
    base = RunConfig(folds=3, weights="random", update_steps=2.0)
    field = data.draw(st.sampled_from(list(dataclasses.fields(RunConfig))))
    value = getattr(base, field.name)
    # Two branches are of one backbone alone, which is not the default.
    choices = [c for c in field.metadata["choices"] if c not in (value, "dual")]
    if field.name in other:
        changed = other[field.name]
    elif choices:
        changed = data.draw(st.sampled_from(choices))
    elif isinstance(value, bool):
        changed = not value
    elif field.name == "outcome":
        changed = "labels: effusion"
    elif isinstance(value, str):
        changed = "0.5,0.6" if field.name in ("thaw_at", "rates") else "a" * 64
    elif isinstance(value, int):
        changed = value + 1
    else:
        changed = value + 0.01 if value + 0.01 <= field.metadata["maximum"] else value - 0.01
    change: dict[str, Any] = {field.name: changed}
    config = dataclasses.replace(base, **change)
    plans = {plan_number(ONE, approved_settings(one)) for one in (base, config)}
    same = len(plans) == 1
    assert same == (field.name in other)


def test_a_weights_file_is_the_same_plan_wherever_it_lies() -> None:
    plans = {
        plan_number(ONE, approved_settings(RunConfig(weights=path)))
        for path in ("/data/a.pt", "/srv/b.safetensors")
    }
    assert len(plans) == 1
    assert plan_number(ONE, approved_settings(RunConfig(weights="xrv"))) not in plans


def test_approving_twice_keeps_one_entry(home: SiteHome) -> None:
    for settings in (SETTINGS, None):
        assert approve(home, ONE, settings, "first")
        before = home.approved.read_bytes()
        assert not approve(home, ONE.upper(), settings, "again")
        assert home.approved.read_bytes() == before


def test_a_plan_or_all_of_a_bundle_is_revoked(home: SiteHome) -> None:
    plan = plan_number(ONE, SETTINGS)
    for settings in (SETTINGS, OTHERS, None):
        approve(home, ONE, settings)
    approve(home, TWO, SETTINGS)
    assert revoke(home, plan[:12].upper()) == 1
    assert [a.settings for a in read_approvals(home)] == [OTHERS, None, SETTINGS]
    assert revoke(home, ONE) == 2
    assert [a.bundle for a in read_approvals(home)] == [TWO]


def test_an_approval_of_before_is_of_no_settings(home: SiteHome) -> None:
    home.approved.write_text(json.dumps([ENTRY]))
    (old,) = read_approvals(home)
    assert old.of_code_alone
    assert not old.covers(ONE, SETTINGS)
    # The next approval of that code takes its place.
    assert approve(home, ONE, SETTINGS)
    (new,) = read_approvals(home)
    assert new.covers(ONE, SETTINGS)
    home.approved.write_text(json.dumps([ENTRY]))
    assert approve(home, ONE, None)
    (new,) = read_approvals(home)
    assert new.any_settings


@pytest.mark.parametrize(
    "digest", ["", ONE[:-1], ONE + "0", f"sha256:{ONE}", ONE[:-1] + "g", f"{ONE}\n", "٣" * 64, "*"]
)
def test_what_is_no_hash(home: SiteHome, digest: str) -> None:
    with pytest.raises(SiteError, match="64 hexadecimal digits"):
        approve(home, digest, None)
    with pytest.raises(SiteError, match=r"is neither a bundle's hash|is not approved"):
        revoke(home, digest)
    assert not home.approved.exists()


def test_revoking_what_was_not_approved_says_so(home: SiteHome) -> None:
    with pytest.raises(SiteError, match="approved are: none"):
        revoke(home, ONE)
    approve(home, ONE, None)
    with pytest.raises(SiteError, match=f"{TWO} is not approved here; approved are: {ONE}"):
        revoke(home, TWO)


ENTRY = {"digest": ONE, "when": "2026-01-01T00:00:00+00:00", "note": ""}


@pytest.mark.parametrize(
    "data",
    [
        b"", b"null", b"true", b'"*"', b"{}", b"[" * 100_000, b"\xff", b"[[]]", b'["*"]',
        json.dumps([ONE]).encode(), json.dumps({ONE: True}).encode(),
        json.dumps([ENTRY, {"digest": ONE}]).encode(),
        json.dumps([ENTRY | {"digest": "*"}]).encode(),
        json.dumps([ENTRY | {"digest": ONE.upper()}]).encode(),
        json.dumps([ENTRY | {"digest": 7}]).encode(),
        json.dumps([ENTRY | {"more": ""}]).encode(),
        json.dumps([ENTRY | {"settings": "any"}]).encode(),
        json.dumps([ENTRY | {"settings": {"rounds": [1]}}]).encode(),
        json.dumps([ENTRY]).encode()[:-1],
        json.dumps([ENTRY]).replace("{", '{"digest": "' + TWO + '", ').encode(),
        json.dumps([ENTRY | {"settings": {"lr-head": float("nan")}}]).encode(),
    ],
)  # fmt: skip
def test_a_damaged_file_approves_nothing(home: SiteHome, data: bytes) -> None:
    home.approved.write_bytes(data)
    with pytest.raises(SiteError, match=r"approved\.json is damaged, so nothing may run here"):
        read_approvals(home)
    with pytest.raises(SiteError, match="damaged"):
        approve(home, ONE, None)
    with pytest.raises(SiteError, match="damaged"):
        revoke(home, ONE)
    assert home.approved.read_bytes() == data


def test_approvals_at_once_lose_nothing(home: SiteHome) -> None:
    digests = [f"{number:064x}" for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda digest: approve(home, digest, None), digests))
    assert {one.bundle for one in read_approvals(home)} == set(digests)
