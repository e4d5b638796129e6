"""What the SuperLink knows of sites and messages, kept in memory.

Flower's own in-memory state with the few changes that a federation of hospitals needs. Nothing of
it is written to disk: a site's update exists at the coordinator only until it is aggregated.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

from flwr.app import Message
from flwr.common.constant import NOOP_ACCOUNT_NAME, NOOP_FLWR_AID
from flwr.proto.message_pb2 import ObjectTree
from flwr.server.superlink.linkstate import InMemoryLinkState
from flwr.supercore.constant import NOOP_FEDERATION_ID, NodeStatus, TaskType
from flwr.supercore.fab import Fab
from flwr.superlink.federation import NoOpFederationManager

from server.link.superlink.room import ReplyRoom
from server.link.superlink.store import PartStore, is_consistent, is_known
from shared.settings.setting import Scalar


class Link(InMemoryLinkState):
    """Flower's link state; thread-safe as that is."""

    def __init__(self) -> None:
        super().__init__(NoOpFederationManager(), PartStore())
        self.closing = False
        """The process is about to end: whoever waits for a message is sent away."""
        self._uploaded: dict[str, int] = {}
        """Bytes received by reply."""
        # Its lock is taken last: Flower takes its own two in either order.
        self._room = ReplyRoom()

    # Sites

    def set_sites(self, keys: Mapping[bytes, str]) -> None:
        """Let exactly these public keys in, all keys of a name as one node.

        Flower lists a node by one key: the last one here. A site stays the same node as long as one
        of its keys does; a name whose keys are all others, and a key that was removed and is
        registered again, become another node.
        """
        with self.lock:
            wanted: dict[str, list[bytes]] = {}
            for key, name in keys.items():
                wanted.setdefault(name, []).append(key)
            for node in list(self.nodes.values()):
                if node.status == NodeStatus.UNREGISTERED:
                    continue
                known = self._keys_of(node.node_id)
                theirs = wanted.get(node.name or "", [])
                if known.isdisjoint(theirs):
                    self.delete_node(NOOP_FLWR_AID, node.node_id)
                    theirs = []
                for key in known.difference(theirs):
                    del self.node_public_key_to_node_id[key]
            for name, theirs in wanted.items():
                found = [self.node_public_key_to_node_id.get(key) for key in theirs]
                node_id = next((one for one in found if one is not None), None)
                if node_id is None:
                    node_id = self.create_node(
                        NOOP_FLWR_AID, NOOP_ACCOUNT_NAME, theirs[-1], 0, name=name
                    )
                self.nodes[node_id].public_key = theirs[-1]
                self.node_public_key_to_node_id.update(dict.fromkeys(theirs, node_id))

    def _keys_of(self, node_id: int) -> set[bytes]:
        return {key for key, one in self.node_public_key_to_node_id.items() if one == node_id}

    def activate_node(self, node_id: int, heartbeat_interval: float) -> bool:
        """Take a site's process in, also where an earlier one was killed and still counts as there.

        `last_activated_at` then shows the coordinator that what it asked before is lost.
        """
        with self.lock:
            node = self.nodes.get(node_id)
            if node is not None and node.status == NodeStatus.ONLINE:
                node.status = NodeStatus.OFFLINE
            return super().activate_node(node_id, heartbeat_interval)

    def is_there(self, node_id: int) -> bool:
        """Whether a site is active: it has said that it is there, and no good-bye since."""
        with self.lock:
            node = self.nodes.get(node_id)
            return node is not None and node.status == NodeStatus.ONLINE

    # Messages

    def has_message_for(self, node_id: int) -> bool:
        """Whether a message to this site waits to be fetched, with all its tensors."""
        with self.lock:
            return any(
                message.metadata.dst_node_id == node_id
                and message.metadata.delivered_at == ""
                and self._is_complete(identifier)
                for identifier, message in self.message_ins_store.items()
            )

    def get_message_ins(
        self, node_id: int, limit: int | None, *, run_id: int | None = None
    ) -> list[Message]:
        """The messages to a site, but none whose tensors are still on their way."""
        with self.lock:
            coming = {
                identifier: message
                for identifier, message in self.message_ins_store.items()
                if not self._is_complete(identifier)
            }
            for identifier in coming:
                del self.message_ins_store[identifier]
            try:
                return super().get_message_ins(node_id, limit, run_id=run_id)
            finally:
                self.message_ins_store.update(coming)

    def get_message_res(self, message_ids: set[str], run_id: int) -> list[Message]:
        """One complete reply to any of these messages, if there is one.

        One at a time, so that the coordinator holds one; complete, so that a site that was killed
        while uploading keeps nobody waiting. Flower would also answer for a site that is offline;
        here a site may come back, and the coordinator decides how long it waits.
        """
        with self.lock:
            for identifier in sorted(message_ids):
                reply = self.message_ins_id_to_message_res_id.get(identifier)
                if reply is None or not self._is_complete(reply):
                    continue
                if self.message_res_store[reply].metadata.delivered_at:
                    continue
                self._room.give_back(reply)
                return super().get_message_res({identifier}, run_id)
        return []

    def store_message_and_object_tree(
        self, message: Message, object_tree: ObjectTree, session_id: str
    ) -> tuple[bool, list[str]]:
        """Take a message in; whether it may come, and which of its parts are wanted."""
        with self.lock:
            if not self._may_come(message, object_tree):
                return False, []
            return super().store_message_and_object_tree(message, object_tree, session_id)

    def _may_come(self, message: Message, tree: ObjectTree) -> bool:
        """Not a reply under a request's name, and one that is there already only as it was.

        A site repeats a reply where it did not hear that it was taken. With other parts it would
        begin again, beside what the first ones are counted as.
        """
        if not message.metadata.reply_to_message_id:
            return True
        if not is_consistent(tree, self.object_store):
            return False
        name = message.metadata.message_id
        before = self.message_res_store.get(name)
        if before is None:
            return name not in self.message_ins_store
        same_site = before.metadata.src_node_id == message.metadata.src_node_id
        return same_site and is_known(tree, self.object_store)

    def store_object(
        self, run_id: int, session_id: str, object_id: str, object_content: bytes
    ) -> bool:
        """Take one part of a message; False, as for an unknown one, beyond what was announced."""
        with self._lock_object_push_sessions:
            session = self._object_push_sessions.get(session_id)
            if session is None:
                return False
            roots = set(session.root_object_ids)
            if self._are_requests(roots):
                return super().store_object(run_id, session_id, object_id, object_content)
            # By reply: a session ends, and another one begins, whenever the site announces it.
            size = sum(self._uploaded.get(root, 0) for root in roots) + len(object_content)
            if size > self._room.of(roots):
                return False
            stored = super().store_object(run_id, session_id, object_id, object_content)
            if stored:
                self._forget_uploads()
                self._uploaded.update(dict.fromkeys(roots, size))
            return stored

    def _are_requests(self, roots: set[str]) -> bool:
        """Whether these are messages of the run's own process; they may be as large as they are."""
        return roots <= self.message_ins_store.keys() and not roots & self.message_res_store.keys()

    def _forget_uploads(self) -> None:
        """No longer count what belongs to replies that have been fetched or given up."""
        self._uploaded = {
            root: size
            for root, size in self._uploaded.items()
            if root in self.message_res_store or root in self._object_push_session_by_root
        }

    def announce(self, node: int, message_id: str, size: int) -> bool:
        """Make room for a site's reply of so many bytes; False where the site must wait."""
        return self._room.announce(node, message_id, size, self._is_whole)

    def _is_whole(self, reply: str) -> bool:
        """Whether all of a reply is there and waits for the coordinator."""
        return reply in self.message_res_store and self._is_complete(reply)

    def _is_complete(self, message_id: str) -> bool:
        session = self._object_push_sessions.get(
            self._object_push_session_by_root.get(message_id, "")
        )
        return session is None or not session.pending_object_ids

    # Runs

    def begin_run(self, fab: Fab, config: dict[str, Scalar]) -> tuple[int, str]:
        """Create a run of this bundle; its number and the token of its coordinator process."""
        self.store_fab(fab)
        number = self.create_run(
            "fedthaw/fedthaw", version("fedthaw"), fab.hash_str, dict(config), NOOP_FEDERATION_ID,
            None, NOOP_FLWR_AID, TaskType.SERVER_APP,
        )  # fmt: skip
        token = self.claim_task(self.run_ids[number].run.primary_task_id or 0)
        if token is None:
            raise RuntimeError("Flower did not hand out the run's task")
        return number, token

    def end_run(self, number: int) -> None:
        """Forget what is left of a run's messages; its sites drop what they still do for it."""
        if not self.stop_run(number):
            self.cleanup_run(number)
        self._room.clear()
