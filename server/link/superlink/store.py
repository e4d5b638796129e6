"""The parts of messages in the server's memory, as sites say that they are made of each other."""

from __future__ import annotations

from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_object import is_valid_sha256_hash, iterate_object_tree
from flwr.supercore.object_store import ObjectStore
from flwr.supercore.object_store.in_memory_object_store import InMemoryObjectStore
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


MOST_PARTS = 2**12
"""Of a message; the largest reply is cut into 64 pieces, with a few parts around them."""
MOST_LEVELS = 16
"""Of parts within parts; a message has five."""


class PartStore(InMemoryObjectStore):
    """Flower's store, for messages whose parts may be anything.

    Each part is kept once, and may be named by several: parts that all name the next one twice are
    few, and as the tree that Flower hands out they are more than any memory holds.
    """

    def get_object_tree(self, object_id: str) -> ObjectTree:
        """The message's parts within parts.

        NoObjectInStoreError where it is unknown, or too large; what is too large is let go.
        """
        with self.lock_store:
            left = [MOST_PARTS]
            try:
                return self._tree(object_id, MOST_LEVELS, left)
            except _TooLarge:
                self.delete(object_id)
                raise

    def _tree(self, name: str, levels: int, left: list[int]) -> ObjectTree:
        entry = self.store.get(name)
        if entry is None:
            raise NoObjectInStoreError(f"Part {name} is unknown.")
        left[0] -= 1
        if levels == 0 or left[0] < 0:
            raise _TooLarge(
                f"A message has more than {MOST_PARTS} parts, or more than {MOST_LEVELS} levels."
            )
        children = [self._tree(child, levels - 1, left) for child in entry.child_object_ids]
        return ObjectTree(object_id=name, children=children)


class _TooLarge(NoObjectInStoreError):
    """What the server drops as if it were not there."""
