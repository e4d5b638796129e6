"""The log of what was refused: a line a minute, of a bounded length."""

from __future__ import annotations

import pytest

from server.link.refusals import SECONDS, Refusals, counted_address


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_line_a_minute_names_who_was_refused_how_often_and_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusals = Refusals()
    refusals.tell(0.0)
    assert said(caplog) == []
    for _ in range(1500):
        refusals.note("192.0.2.1", "too many connections at once")
    refusals.note("192.0.2.2", "refused for its header")
    refusals.tell(1.0)
    refusals.note("192.0.2.1", "refused for its header")
    refusals.tell(SECONDS)
    (line,) = said(caplog)
    assert "192.0.2.1: 1,500 x too many connections at once" in line
    assert "192.0.2.2: 1 x refused for its header" in line
    refusals.tell(SECONDS + 1.0)
    refusals.tell(3 * SECONDS)
    assert len(said(caplog)) == 2
    assert "192.0.2.1: 1 x refused for its header" in said(caplog)[1]


def test_ever_new_addresses_fill_neither_the_log_nor_the_memory(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusals = Refusals()
    for number in range(5000):
        refusals.note(f"2001:db8:0:{number:x}::/64", "TLS handshakes that failed")
    assert len(refusals._counted) <= 1001
    refusals.tell(0.0)
    (line,) = said(caplog)
    assert len(line) < 600
    assert "other addresses: 4,000 x" in line


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
