"""The log of what was refused: a line a minute, of a bounded length."""

from __future__ import annotations

import logging

import pytest

from server.link.connections.refusals import SECONDS, Refusals, counted_address


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="fedthaw.server")


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_line_a_minute_names_who_was_refused_how_often_and_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusals = Refusals()
    refusals.flush(0.0)
    assert said(caplog) == []
    for _ in range(1500):
        refusals.note("192.0.2.1", "too many at once")
    refusals.note("192.0.2.2", "header too large")
    refusals.flush(1.0)
    refusals.note("192.0.2.1", "header too large")
    refusals.flush(SECONDS)
    (line,) = said(caplog)
    assert "1,500 from 192.0.2.1 (too many at once)" in line
    assert "1 from 192.0.2.2 (header too large)" in line
    refusals.flush(SECONDS + 1.0)
    refusals.flush(3 * SECONDS)
    assert len(said(caplog)) == 2
    assert "1 from 192.0.2.1 (header too large)" in said(caplog)[1]


def test_ever_new_addresses_fill_neither_the_log_nor_the_memory(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusals = Refusals()
    for number in range(5000):
        refusals.note(f"2001:db8:0:{number:x}::/64", "failed TLS handshake")
    assert len(refusals._counted) <= 1001
    refusals.flush(0.0)
    (line,) = said(caplog)
    assert len(line) < 600
    assert "4,000 from other addresses (failed TLS handshake), 1 from" in line


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), ("::1", "::1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("fe80::1%eth0", "fe80::/64"),
        ("no address", "no address"),
    ],
)  # fmt: skip
def test_by_what_an_address_is_counted(host: str, counted: str) -> None:
    assert counted_address(host) == counted
