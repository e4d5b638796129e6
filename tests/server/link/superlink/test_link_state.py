"""What the coordinator keeps in memory of sites and messages, against Flower's real messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.fab import Fab
from hypothesis import given, settings
from hypothesis import strategies as st

from server.link.superlink.room import REPLY_LIMIT
from server.link.superlink.state import Link

KEYS = [b"one", b"two", b"three"]


def names(link: Link) -> set[str]:
    nodes = link.get_node_info(statuses=["registered", "online", "offline"])
    return {str(node.name) for node in nodes}


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), st.just("site")), min_size=1, max_size=6))
@settings(deadline=None, max_examples=50)
def test_exactly_the_registered_keys_are_known(steps: list[dict[bytes, str]]) -> None:
    link = Link()
    for step in steps:
        link.set_sites({key: f"{name}-{key.decode()}" for key, name in step.items()})
        assert {key for key in KEYS if link.get_node_id_by_public_key(key) is not None} == set(step)
        assert names(link) == {f"site-{key.decode()}" for key in step}


def test_a_key_that_comes_back_is_another_node() -> None:
    """What was asked of the removed one is not the new one's to answer."""
    link = Link()
    link.set_sites({b"one": "north"})
    before = link.get_node_id_by_public_key(b"one")
    link.set_sites({b"one": "north"})
    assert link.get_node_id_by_public_key(b"one") == before
    link.set_sites({})
    assert not link.activate_node(before or 0, 10.0)
    link.set_sites({b"one": "north"})
    assert link.get_node_id_by_public_key(b"one") not in (None, before)


def test_a_restarted_site_is_taken_in_at_once(wire: Any) -> None:
    def since() -> str:
        (node,) = wire.link.get_node_info(node_ids=[wire.north])
        assert node.status == "online"
        return str(node.last_activated_at)

    before = since()
    assert wire.link.activate_node(wire.north, 10.0)
    assert since() > before
    assert not wire.link.activate_node(12345, 10.0)


def test_a_site_gets_a_message_only_with_all_its_parts(wire: Any) -> None:
    request = wire.ask(wire.north)
    session = wire.open(request)
    wire.fill(request, session, leave=1)
    assert not wire.link.has_message_for(wire.north)
    assert wire.link.get_message_ins(wire.north, 1) == []
    wire.fill(request, session)
    assert wire.link.has_message_for(wire.north)
    assert not wire.link.has_message_for(wire.east)
    (got,) = wire.link.get_message_ins(wire.north, 1)
    assert got.metadata.message_id == request.name
    assert not wire.link.has_message_for(wire.north)
    assert wire.link.get_message_ins(wire.north, 1) == []


def test_a_message_on_its_way_does_not_go_out_before_a_complete_one(wire: Any) -> None:
    late, ready = wire.ask(wire.north, "late"), wire.ask(wire.north, "ready")
    session = wire.open(late)
    wire.put(ready)
    (got,) = wire.link.get_message_ins(wire.north, 1)
    assert got.metadata.message_id == ready.name
    wire.fill(late, session)
    (got,) = wire.link.get_message_ins(wire.north, 1)
    assert got.metadata.message_id == late.name


def test_replies_are_handed_out_complete_and_one_at_a_time(wire: Any) -> None:
    north, east = (wire.put(wire.ask(node)) for node in (wire.north, wire.east))
    asked = {north.name, east.name}
    assert wire.link.get_message_res(asked, wire.run) == []
    torn = wire.answer(north)
    session = wire.open(torn)
    wire.fill(torn, session, leave=1)
    assert wire.link.get_message_res(asked, wire.run) == []
    whole = wire.put(wire.answer(east))
    (got,) = wire.link.get_message_res(asked, wire.run)
    assert got.metadata.message_id == whole.name
    assert wire.link.get_message_res(asked, wire.run) == []
    wire.fill(torn, session)
    (got,) = wire.link.get_message_res(asked, wire.run)
    assert got.metadata.message_id == torn.name
    assert got.metadata.src_node_id == wire.north
    assert wire.link.get_message_res(asked, wire.run) == []


def test_two_replies_that_are_there_come_one_after_the_other(wire: Any) -> None:
    pairs = [wire.exchange(node) for node in (wire.north, wire.east)]
    asked, expected = ({pair[index].name for pair in pairs} for index in (0, 1))
    got = [wire.link.get_message_res(asked, wire.run) for _ in range(3)]
    assert [len(one) for one in got] == [1, 1, 0]
    assert {one[0].metadata.message_id for one in got[:2]} == expected


def test_nobody_answers_for_a_site_that_is_away(wire: Any) -> None:
    request = wire.put(wire.ask(wire.north))
    wire.link.deactivate_node(wire.north)
    assert wire.link.get_message_res({request.name}, wire.run) == []


def test_no_site_sends_more_than_it_announced(wire: Any) -> None:
    request = wire.put(wire.ask(wire.north))
    reply = wire.answer(request)
    assert wire.link.announce(wire.north, reply.name, reply.size - 1)
    taken = wire.fill(reply, wire.open(reply))
    assert taken == [True] * (len(taken) - 1) + [False]
    assert wire.link.get_message_res({request.name}, wire.run) == []


def test_what_was_announced_fits_to_the_byte(wire: Any) -> None:
    request = wire.put(wire.ask(wire.north))
    reply = wire.answer(request)
    assert wire.link.announce(wire.north, reply.name, reply.size)
    assert all(wire.fill(reply, wire.open(reply)))
    assert len(wire.link.get_message_res({request.name}, wire.run)) == 1


def take(wire: Any, parcel: Any, tree: ObjectTree | None = None) -> tuple[str, bool, list[str]]:
    """What comes of a reply that is pushed: its session, whether it is taken, what is wanted."""
    session = wire.link.start_session(wire.run)
    taken, wanted = wire.link.store_message_and_object_tree(
        parcel.message, tree or parcel.tree, session
    )
    wire.wanted[session] = wanted
    return session, taken, wanted


def with_child(tree: ObjectTree, name: str) -> ObjectTree:
    return ObjectTree(
        object_id=tree.object_id, children=[*tree.children, ObjectTree(object_id=name)]
    )


@pytest.mark.parametrize("whole", [True, False])
def test_a_reply_that_is_there_takes_no_further_parts(wire: Any, whole: bool) -> None:
    """They would be kept beside what it may have; the same reply again is an honest repetition."""
    reply = wire.answer(wire.put(wire.ask(wire.north)))
    wire.fill(reply, wire.open(reply), leave=0 if whole else 1)
    held = len(wire.link.object_store)
    _, taken, wanted = take(wire, reply, with_child(reply.tree, "ab" * 32))
    assert (taken, wanted) == (False, [])
    assert len(wire.link.object_store) == held
    _, taken, wanted = take(wire, reply)
    assert (taken, len(wanted)) == (True, 0 if whole else 1)


def test_an_upload_goes_on_after_a_cut_connection(wire: Any) -> None:
    """The reply is announced again in its exact size, and what had come is not sent again."""
    request = wire.put(wire.ask(wire.north))
    reply = wire.answer(request)
    assert wire.link.announce(wire.north, reply.name, reply.size)
    wire.fill(reply, wire.open(reply), leave=1)
    assert wire.link.announce(wire.north, reply.name, reply.size)
    session, taken, wanted = take(wire, reply)
    assert (taken, len(wanted)) == (True, 1)
    assert all(wire.fill(reply, session))
    assert len(wire.link.get_message_res({request.name}, wire.run)) == 1


def test_what_has_come_counts_when_a_reply_is_announced_again(wire: Any) -> None:
    reply = wire.answer(wire.put(wire.ask(wire.north)))
    for leave in (1, 0):
        assert wire.link.announce(wire.north, reply.name, reply.size - 1)
        session, _, wanted = take(wire, reply)
        taken = wire.fill(reply, session, leave=leave)
    assert (wanted, taken) == ([reply.name], [False])


def test_parts_under_another_root_have_the_limit_too(
    wire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever they are said to belong to, unless it is a request of the run's own process."""
    reply = wire.answer(wire.put(wire.ask(wire.north)))
    monkeypatch.setattr("server.link.superlink.room.REPLY_LIMIT", 10)
    elsewhere = next(iter(reply.tree.children))
    session, _, wanted = take(wire, reply, elsewhere)
    assert wanted
    assert wire.fill(reply, session) == [False] * len(wanted)
    large = wire.ask(wire.east, "a request of more than ten bytes")
    assert all(wire.fill(large, wire.open(large)))


def test_no_reply_comes_under_a_requests_name(wire: Any) -> None:
    """It would be taken for the request, which has no limit."""
    request = wire.put(wire.ask(wire.north))
    reply = wire.answer(request)
    reply.message.metadata.__dict__["_message_id"] = request.name
    assert take(wire, reply, request.tree)[1:] == (False, [])


def test_nobody_goes_on_with_the_reply_of_another_site(wire: Any) -> None:
    """Its upload would be broken off."""
    reply = wire.answer(wire.put(wire.ask(wire.north)))
    session = wire.open(reply)
    forged = wire.answer(wire.put(wire.ask(wire.east)))
    forged.message.metadata.__dict__["_message_id"] = reply.name
    assert take(wire, forged, reply.tree)[1:] == (False, [])
    assert all(wire.fill(reply, session))


@pytest.mark.parametrize("what", ["twice", "known", "no digest"])
def test_a_tree_that_cannot_be_forgotten_is_not_taken(wire: Any, what: str) -> None:
    """Flower would leave the children behind that it hears of after their parent."""
    reply = wire.answer(wire.put(wire.ask(wire.north)))
    leaf = ObjectTree(object_id="ab" * 32)
    if what == "twice":
        added = [leaf, with_child(leaf, "cd" * 32)]
    elif what == "known":
        first, _ = wire.exchange(wire.east)
        known = next(iter(first.tree.children))
        added = [with_child(known, "cd" * 32)]
    else:
        added = [ObjectTree(object_id="no digest")]
    held = len(wire.link.object_store)
    tree = ObjectTree(object_id=reply.name, children=[*reply.tree.children, *added])
    assert take(wire, reply, tree)[1:] == (False, [])
    assert len(wire.link.object_store) == held


def test_parts_that_nobody_asked_for_are_not_kept(wire: Any) -> None:
    """Neither of another message, nor without a session, nor another content under the name."""
    first, second = wire.ask(wire.north, "first"), wire.ask(wire.north, "second")
    session = wire.open(first)
    other = next(name for name in second.parts if name not in first.parts)
    own = next(iter(first.parts))
    store = wire.link.store_object
    assert not store(wire.run, session, other, second.parts[other])
    assert not store(wire.run, "", own, first.parts[own])
    assert not store(wire.run, "unknown", own, first.parts[own])
    assert not store(wire.run, session, own, first.parts[own] + b"!")
    assert store(wire.run, session, own, first.parts[own])


def test_the_first_upload_is_let_in_however_large() -> None:
    assert Link().announce(1, "one", REPLY_LIMIT)
    assert not Link().announce(1, "one", REPLY_LIMIT + 1)


@pytest.mark.usefixtures("clock")
def test_uploads_wait_while_the_others_fill_the_memory() -> None:
    link = Link()
    assert link.announce(1, "one", REPLY_LIMIT)
    assert not link.announce(2, "two", 1)
    assert link.announce(1, "one", REPLY_LIMIT)  # the same one again takes no more room


def test_an_announced_reply_that_never_comes_is_forgotten(clock: Callable[[float], None]) -> None:
    link = Link()
    assert link.announce(1, "one", REPLY_LIMIT)
    clock(29)
    assert not link.announce(2, "two", 1)
    clock(2)
    assert link.announce(2, "two", 1)


def test_a_reply_that_waits_keeps_its_room_until_it_is_fetched(
    wire: Any, clock: Callable[[float], None]
) -> None:
    request = wire.put(wire.ask(wire.north))
    reply = wire.answer(request)
    assert wire.link.announce(wire.north, reply.name, REPLY_LIMIT)
    wire.put(reply)
    clock(1000)
    assert not wire.link.announce(99, "another", 1)
    assert wire.link.get_message_res({request.name}, wire.run)
    assert wire.link.announce(99, "another", 1)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 2 * REPLY_LIMIT)), max_size=12))
@settings(deadline=None, max_examples=100)
def test_announced_replies_never_exceed_the_room_but_alone(steps: list[tuple[str, int]]) -> None:
    """Against a dictionary that adds up what is held."""
    link, held = Link(), dict[str, int]()
    for name, size in steps:
        others = {key: value for key, value in held.items() if key != name}
        total = sum(others.values()) + size
        fits = size <= REPLY_LIMIT and (not others or total <= REPLY_LIMIT)
        assert link.announce(ord(name), name, size) == fits
        held = {**others, name: size} if fits else others


def test_a_run_that_has_ended_leaves_nothing(wire: Any, bundle: Fab) -> None:
    request, _ = wire.exchange(wire.north)
    open_request = wire.ask(wire.east)
    session = wire.open(open_request)
    wire.fill(open_request, session, leave=1)
    wire.link.announce(98, "a reply", REPLY_LIMIT)
    assert wire.link.num_message_ins() == 2
    assert wire.link.num_message_res() == 1
    wire.link.end_run(wire.run)
    assert wire.link.num_message_ins() == wire.link.num_message_res() == 0
    assert not any(name in wire.link.object_store for name in request.parts)
    assert len(wire.link.object_store) == 0
    (name,) = wire.wanted[session]
    part = open_request.parts[name]
    assert not wire.link.store_object(wire.run, session, name, part)
    assert not wire.link.has_message_for(wire.east)
    another, token = wire.link.begin_run(bundle, {})
    assert another != wire.run
    assert wire.link.get_task_by_token(token).run_id == another
    assert wire.link.announce(97, "of the next run", REPLY_LIMIT)


def test_a_run_begins_with_its_bundle_and_its_settings(bundle: Fab) -> None:
    link = Link()
    number, token = link.begin_run(bundle, {"rounds": 3, "seed": 7})
    (run,) = link.get_run_info(run_ids=[number])
    assert (run.fab_hash, run.override_config) == (bundle.hash_str, {"rounds": 3, "seed": 7})
    assert len(token) >= 32
    stored = link.get_fab(bundle.hash_str)
    assert stored is not None
    assert stored.content == bundle.content
    link.end_run(number)
    link.end_run(number)
    link.end_run(999)


def test_a_bundle_under_another_digest_is_refused() -> None:
    with pytest.raises(ValueError, match="hash"):
        Link().begin_run(Fab("0" * 64, b"code", {}), {})


def test_a_site_with_two_keys_is_one_node_and_stays_it() -> None:
    """Also when its first key ends, whichever key a process of it works with."""
    link = Link()
    link.set_sites({b"old": "north", b"else": "east"})
    node = link.get_node_id_by_public_key(b"old") or 0
    link.activate_node(node, 10.0)
    link.set_sites({b"old": "north", b"else": "east", b"new": "north"})
    assert link.get_node_id_by_public_key(b"old") == link.get_node_id_by_public_key(b"new") == node
    nodes = {one.name: one for one in link.get_node_info(statuses=["registered", "online"])}
    assert set(nodes) == {"north", "east"}
    assert nodes["north"].public_key == b"new"
    link.set_sites({b"else": "east", b"new": "north"})
    assert link.get_node_id_by_public_key(b"old") is None
    assert link.get_node_id_by_public_key(b"new") == node
    assert link.is_there(node)


STEPS = st.lists(
    st.dictionaries(st.sampled_from(KEYS), st.sampled_from(["north", "east"])), max_size=6
)


@given(STEPS)
@settings(deadline=None, max_examples=100)
def test_names_and_keys_are_exactly_those_registered(steps: list[dict[bytes, str]]) -> None:
    """A key stands for its name's node, and a node lasts exactly as long as one of its keys."""
    link = Link()
    before: dict[bytes, tuple[str, int]] = {}
    for step in steps:
        link.set_sites(step)
        found = {key: link.get_node_id_by_public_key(key) for key in KEYS}
        assert {key for key, node in found.items() if node is not None} == set(step)
        now = {key: (name, found[key] or 0) for key, name in step.items()}
        assert len(set(now.values())) == len(set(step.values())) == len(names(link))
        for name in set(step.values()):
            lasting = [k for k in step if step[k] == name and before.get(k, ("",))[0] == name]
            nodes = {now[key][1] for key in step if step[key] == name}
            assert nodes == ({before[lasting[0]][1]} if lasting else nodes)
            if not lasting:
                assert nodes.isdisjoint(node for _, node in before.values())
        before = now
