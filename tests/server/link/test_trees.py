"""Trees of parts: each part has one set of children."""

from __future__ import annotations

import hashlib

from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.object_store import ObjectStoreFactory
from hypothesis import given
from hypothesis import strategies as st

from server.link.superlink.store import is_consistent, is_known

NAMES = [hashlib.sha256(bytes([number])).hexdigest() for number in range(5)]
trees = st.recursive(
    st.sampled_from(NAMES).map(lambda name: ObjectTree(object_id=name)),
    lambda inner: st.builds(
        lambda name, children: ObjectTree(object_id=name, children=children),
        st.sampled_from(NAMES),
        st.lists(inner, max_size=3),
    ),
    max_leaves=6,
)


@given(trees, trees)
def test_a_consistent_tree_is_forgotten_as_a_whole(first: ObjectTree, second: ObjectTree) -> None:
    """Against Flower's own store: what is deleted from its roots leaves nothing."""
    store = ObjectStoreFactory().store()
    taken = []
    for tree in (first, second):
        if is_consistent(tree, store):
            store.preregister(1, tree)
            assert is_known(tree, store)
            assert store.get_object_tree(tree.object_id) == tree
            taken.append(tree)
    for tree in [*taken, *taken]:  # one may hold the other as a part
        store.delete(tree.object_id)
    assert len(store) == 0


def test_a_part_that_stands_twice_may_have_its_children_twice() -> None:
    leaf = ObjectTree(object_id=NAMES[0])
    part = ObjectTree(object_id=NAMES[1], children=[leaf])
    whole = ObjectTree(object_id=NAMES[2], children=[part, leaf, part])
    store = ObjectStoreFactory().store()
    assert is_consistent(whole, store)
    assert not is_known(whole, store)
    store.preregister(1, whole)
    assert is_consistent(whole, store)
    bare = ObjectTree(object_id=NAMES[1])
    assert not is_consistent(ObjectTree(object_id=NAMES[3], children=[bare]), store)
    assert not is_consistent(ObjectTree(object_id="short"), store)
