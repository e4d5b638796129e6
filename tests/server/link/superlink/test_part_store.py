"""What sites say of their messages' parts, against Flower's own store and against bombs."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.object_store import NoObjectInStoreError, ObjectStoreFactory

from server.link.superlink.store import MOST_LEVELS, MOST_PARTS, PartStore


def name(text: object) -> str:
    return hashlib.sha256(str(text).encode()).hexdigest()


def part(text: object, *children: ObjectTree) -> ObjectTree:
    return ObjectTree(object_id=name(text), children=children)


def test_the_tree_is_flowers_own(wire: Any) -> None:
    request, reply = wire.exchange(wire.north)
    store, flowers = PartStore(), ObjectStoreFactory().store()
    for parcel in (request, reply):
        assert store.preregister(1, parcel.tree) == flowers.preregister(1, parcel.tree)
        assert store.get_object_tree(parcel.name) == flowers.get_object_tree(parcel.name)
        assert store.get_object_tree(parcel.name) == parcel.tree
    with pytest.raises(NoObjectInStoreError):
        store.get_object_tree(name("never seen"))
    assert isinstance(wire.link.object_store, PartStore)


def test_a_few_parts_that_would_be_a_huge_tree() -> None:
    """Each names the next one a hundred times, and is described once."""
    store = PartStore()
    tree = part(0)
    for level in range(1, 6):
        tree = part(level, tree, *[part(level - 1) for _ in range(99)])
    store.preregister(1, tree)
    assert len(store) == 6
    with pytest.raises(NoObjectInStoreError, match=f"more than {MOST_PARTS} parts"):
        store.get_object_tree(tree.object_id)
    assert len(store) == 0


def test_levels_that_grow_from_message_to_message() -> None:
    store = PartStore()
    for level in range(1, MOST_LEVELS + 1):
        store.preregister(1, part(level, part(level - 1)))
    assert store.get_object_tree(name(MOST_LEVELS - 1)).object_id == name(MOST_LEVELS - 1)
    with pytest.raises(NoObjectInStoreError, match=f"more than {MOST_LEVELS} levels"):
        store.get_object_tree(name(MOST_LEVELS))
