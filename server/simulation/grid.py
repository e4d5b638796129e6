"""Flower's Grid inside one process: the sites take turns, in a fixed order."""

from __future__ import annotations

import copy
import importlib
import itertools
from collections.abc import Callable, Iterable, Sequence

from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from server.simulation.interrupt import Check, no_check
from shared.errors import FedThawError
from shared.settings.config import RunConfig

RUN_ID = 1
CLIENT_FAILED = 0
FIRST_NODE_ID = 1001
# By name, as Flower finds the sites' app: the coordinator does not import their package.
ESTIMATE_MODULE = "client.estimate"

SiteApp = Callable[[Message, Context], Message]


class InProcessGrid(Grid):
    """Nodes are contexts of this process; a message is answered when its reply is pulled.

    Every message is copied, as the wire would do. `check` is called after each answer, and raises
    what is to end the run. Not thread-safe.
    """

    def __init__(
        self, site_app: SiteApp, contexts: Sequence[Context], check: Check = no_check
    ) -> None:
        self._site_app, self._check = site_app, check
        self._contexts = {context.node_id: context for context in contexts}
        self._waiting: dict[str, Message] = {}
        self._numbers = itertools.count(1)
        self._run = Run.create_empty(RUN_ID)
        # Flower builds messages from the identity of the task that this process runs.
        TaskIdentity.task_id, TaskIdentity.run_id = 1, RUN_ID
        TaskIdentity.node_id = SUPERLINK_NODE_ID

    def set_run(self, run: Run) -> None:
        """Replace the run's description."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run's description."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """A message from the coordinator to a node."""
        return Message(
            content, dst_node_id=dst_node_id, message_type=message_type, group_id=group_id, ttl=ttl
        )

    def get_node_ids(self) -> Iterable[int]:
        """All nodes, always."""
        return list(self._contexts)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Queue messages; nothing runs yet."""
        identifiers = []
        for message in messages:
            identifier = str(next(self._numbers))
            # Flower's links set this private field too; there is no public setter.
            message.metadata.__dict__["_message_id"] = identifier
            self._waiting[identifier] = message
            identifiers.append(identifier)
        return identifiers

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Let the next waiting site among these answer; one reply, or none when all have."""
        for identifier in message_ids:
            if identifier in self._waiting:
                return [self._answer(self._waiting.pop(identifier))]
        return []

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Push and pull all; the sites take as long as they need."""
        identifiers = list(self.push_messages(messages))
        return [reply for one in identifiers for reply in self.pull_messages([one])]

    def expected_seconds(self, config: RunConfig) -> tuple[float, ...] | None:
        """Seconds of each round and of the final evaluation, measured at the sites' folders.

        None where a site cannot be measured: the run itself says what is wrong with it.
        """
        nodes = [context.node_config for context in self._contexts.values()]
        measure = importlib.import_module(ESTIMATE_MODULE).expected_seconds
        try:
            return tuple(measure(nodes, config))
        except (FedThawError, OSError, RuntimeError):
            return None

    def _answer(self, message: Message) -> Message:
        context = self._contexts[message.metadata.dst_node_id]
        received = copy.deepcopy(message)
        try:
            reply = copy.deepcopy(self._site_app(received, context))
        except Exception as error:
            reply = Message(Error(CLIENT_FAILED, type(error).__name__), reply_to=message)
        self._check()
        return reply


def site_contexts(config: RunConfig, count: int) -> list[Context]:
    """One context a site, as Flower's simulation would give it."""
    return [
        Context(
            run_id=RUN_ID,
            node_id=FIRST_NODE_ID + index,
            node_config={"partition-id": index, "num-partitions": count},
            state=RecordDict(),
            run_config=dict(config.to_flat()),
        )
        for index in range(count)
    ]


def coordinator_context(config: RunConfig) -> Context:
    """The ServerApp's context."""
    return Context(
        run_id=RUN_ID,
        node_id=SUPERLINK_NODE_ID,
        node_config={},
        state=RecordDict({"config": ConfigRecord()}),
        run_config=dict(config.to_flat()),
    )
