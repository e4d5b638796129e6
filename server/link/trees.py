"""Whether a message's tree of parts is one that the coordinator can forget again as a whole.

Flower notes a part's children when it hears of the part first, and deletes from the root down. A
tree that gives a known part further children would leave those behind, beside every limit.
"""

from __future__ import annotations

from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_object import is_valid_sha256_hash, iterate_object_tree
from flwr.supercore.object_store import ObjectStore
from flwr.supercore.object_store.object_store import NoObjectInStoreError


def is_consistent(tree: ObjectTree, store: ObjectStore) -> bool:
    """Whether each part has the same children wherever it stands, and those that it has already.

    And names that Flower takes: it would stop at another one with half of the tree noted.
    """
    seen: dict[str, list[str]] = {}
    for part in iterate_object_tree(tree):
        name, children = part.object_id, _children(part)
        if not is_valid_sha256_hash(name):
            return False
        try:
            if name not in seen and name in store:
                seen[name] = _children(store.get_object_tree(name))
        except NoObjectInStoreError:  # what is there is larger than any message
            return False
        if seen.setdefault(name, children) != children:
            return False
    return True


def is_known(tree: ObjectTree, store: ObjectStore) -> bool:
    """Whether every part of the tree has been announced already."""
    return all(part.object_id in store for part in iterate_object_tree(tree))


def _children(part: ObjectTree) -> list[str]:
    return [child.object_id for child in part.children]
