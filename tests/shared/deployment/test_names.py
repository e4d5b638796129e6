"""Names of sites and addresses of servers."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.deployment.names import (
    checked_site_name,
    is_site_name,
    parse_address,
    parse_host,
    to_address,
)
from shared.errors import ConfigError

LABELS = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
HOSTS = st.lists(LABELS, min_size=1, max_size=5).map(".".join) | st.ip_addresses().filter(
    lambda address: not address.is_unspecified
).map(str)


@given(HOSTS, st.integers(1, 65535))
def test_an_address_is_read_as_it_is_written(host: str, port: int) -> None:
    assert parse_address(to_address(host, port)) == (host, port)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Hub.Example.ORG", "hub.example.org"),
        ("127.0.0.1", "127.0.0.1"),
        ("2001:DB8:0:0::7", "2001:db8::7"),
        ("fedthaw_server", "fedthaw_server"),
        ("xn--krankenhuser-xy-clb.de", "xn--krankenhuser-xy-clb.de"),
    ],
)
def test_hosts(text: str, host: str) -> None:
    assert parse_host(text) == host


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "hub example", "hub ", "https://hub", "hub:8443", "hub/path", "hub..org", ".hub",
        "-hub", "hub-", "*.example.org", "spitäler.example", "256.1.1.1", "1.2.3", "h" * 64,
        ".".join(["h" * 60] * 5), "hub\n", "0.0.0.0", "::", "fe80::1%eth0", "[::1]", "user@hub",
    ],
)  # fmt: skip
def test_what_is_no_host(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_host(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "", "hub", "hub:", ":8443", "hub:0", "hub:65536", "hub:-1", "hub: 1", "hub:8443 ", "::1:80",
        "https://hub:8443", "[hub]:8443", "[::1]", "hub:8443:1", "hub:٣", "hub:1_0", "hub:999999",
    ],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ConfigError, match="HOST"):
        parse_address(text)


def test_an_ipv6_address_needs_brackets() -> None:
    assert parse_address("[::1]:80") == ("::1", 80)
    assert ipaddress.ip_address(parse_address("[2001:db8::7]:8443")[0]).version == 6


@pytest.mark.parametrize("name", ["north", "N", "0a_b.c-d", "x" * 64])
def test_site_names(name: str) -> None:
    assert checked_site_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "x" * 65, ".hidden", "-x", "_x", "a b", "a/b", "..", "nörd", "a\n"]
)
def test_what_is_no_site_name(name: str) -> None:
    assert not is_site_name(name)
    with pytest.raises(ConfigError, match="1 to 64 letters"):
        checked_site_name(name)
