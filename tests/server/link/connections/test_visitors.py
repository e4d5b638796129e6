"""Which connections are a stranger's, which are a site's, and who has to go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from server.link.connections.limits import Limits, Share, limits_for
from server.link.connections.refusals import Refusals
from server.link.connections.visitors import KNOWN_SECONDS, Visitor, Visitors

SHARE = Share(per_second=10.0, burst=5, at_once=6, waiting=8)
LIMITS = replace(Limits(), of_address=3, of_site=2, known=SHARE, unknown=SHARE, unknown_seconds=20)


class Room:
    """The connections of a port, at a time of the test's choosing."""

    def __init__(self) -> None:
        self.now = 0.0
        self.cut: list[str] = []
        self.visitors = Visitors(LIMITS, Refusals(), clock=lambda: self.now)

    def enter(self, address: str, name: str = "", *, known: bool = False) -> Visitor:
        return self.visitors.enter(address, known, lambda: self.cut.append(name))


@pytest.fixture
def room() -> Room:
    return Room()


def test_the_oldest_of_a_crowded_address_goes(room: Room) -> None:
    for name in ("first", "second", "third", "fourth", "fifth"):
        room.enter("192.0.2.1", name)
    room.enter("192.0.2.2", "another")
    assert room.cut == ["first", "second"]


def test_with_too_many_in_all_the_address_with_most_gives_one_up(room: Room) -> None:
    for name in ("a1", "b1", "b2", "b3", "c1", "d1", "e1"):
        room.enter(name[0], name)
    assert room.cut == ["b1"]


def test_a_sites_connection_is_nobodys_to_take(room: Room) -> None:
    assert room.enter("192.0.2.1", "of the site").recognise(7)
    for _ in range(50):
        room.enter("192.0.2.1", "stranger")
    room.now = 1000.0
    room.visitors.sweep()
    assert "of the site" not in room.cut


def test_strangers_leave_the_share_of_known_addresses_alone(room: Room) -> None:
    room.enter("192.0.2.1").recognise(7)
    assert room.visitors.is_known("192.0.2.1")
    room.enter("192.0.2.1", "coming back", known=True)
    for number in range(50):
        room.enter(f"198.51.100.{number}", "stranger")
    assert set(room.cut) == {"stranger"}


def test_an_address_is_known_for_an_hour(room: Room) -> None:
    visitor = room.enter("192.0.2.1")
    assert not room.visitors.is_known("192.0.2.1")
    visitor.recognise(7)
    room.now = KNOWN_SECONDS - 1
    visitor.recognise(7)
    room.now += KNOWN_SECONDS - 1
    assert room.visitors.is_known("192.0.2.1")
    room.now += 2
    assert not room.visitors.is_known("192.0.2.1")


def test_a_key_has_so_many_connections(room: Room) -> None:
    first, second, third = (room.enter("192.0.2.1") for _ in range(3))
    assert first.recognise(7)
    assert second.recognise(7)
    assert first.recognise(7)
    assert not third.recognise(7)
    assert third.recognise(8)
    room.visitors.left(first)
    room.visitors.left(first)
    assert room.enter("192.0.2.1").recognise(7)
    assert not room.enter("192.0.2.1").recognise(7)


def test_a_request_that_outlives_its_connection_counts_for_nothing(room: Room) -> None:
    visitor = room.enter("192.0.2.1")
    room.visitors.left(visitor)
    assert not visitor.recognise(7)
    assert room.enter("192.0.2.1").recognise(7)
    assert room.enter("192.0.2.1").recognise(7)


def test_who_proves_nothing_for_too_long_goes(room: Room) -> None:
    room.enter("192.0.2.1", "early")
    room.now = 15.0
    room.enter("192.0.2.1", "late")
    room.now = 20.5
    room.visitors.sweep()
    assert room.cut == ["early"]


@pytest.mark.parametrize("files", [64, 256, 1024, 20_000, 2**20])
def test_half_of_the_open_files_is_left_to_sites(files: int) -> None:
    limits = limits_for(files)
    shares = (limits.known, limits.unknown)
    assert sum(share.at_once + share.waiting for share in shares) <= files // 2
    assert all(share.at_once >= 4 and share.waiting >= 12 for share in shares)
