"""The work on one message: may it be answered, by which process, and what is written down of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flwr.app import Context, Error, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.app.user_config import UserConfig
from flwr.common.serde import message_to_proto
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
)
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from client.node.bundles import make_room
from client.node.calls import Connection, RunOver, Stopped, Unrecognised
from client.node.complaints import Complaints
from client.node.contents import bounded, describe, plain
from client.node.home import SiteHome
from client.node.permit import Permit, beyond, permit
from client.node.quota import settle
from client.node.resident import (
    LimitReached,
    Reply,
    Worker,
    WorkerDied,
    end_worker,
    let_work,
    start_worker,
)
from client.node.rotation import Rotation
from client.node.sandbox.rules import reach_for
from client.node.sandbox.weights import fetch_weights
from client.node.sources import read_sources
from client.node.transfer import Received, fetch_bundle, fetch_run, push
from shared.audit.log import append
from shared.audit.syslog import Syslog
from shared.errors import FedThawError, SiteError
from shared.protocol.replies import FAILED
from shared.settings.run_plan import SHOWN_DIGITS

log = logging.getLogger("fedthaw.site")

ATTEMPTS = 2
"""How often a message is worked on when the working process dies over it."""


@dataclass
class Site:
    """What the client keeps from message to message."""

    folder: Path
    home: SiteHome
    connection: Connection
    worker: Worker | None = None
    run: Run | None = None
    """The last one: a coordinator has one at a time."""
    answering: str | None = None
    """The approved bundle that answers the message at hand, None where none does."""
    settings: UserConfig | None = None
    """Of the run whose message is at hand, None where they are not known."""
    syslog: Syslog | None = None
    """Where entries of the audit log go too."""
    rotation: Rotation | None = None
    """How the site changes over to its next key."""
    complaints: Complaints = field(init=False)
    """What its owner has heard of messages that were not answered."""
    working_on: tuple[int, str] | None = None
    """The run and plan of the last message that was allowed."""

    def __post_init__(self) -> None:
        """Nothing has been said yet."""
        self.complaints = Complaints(self.folder)


def answer(site: Site, received: Received) -> Reply:
    """The bundle's reply, or why there is none."""
    metadata = received.message.metadata
    # Flower builds messages from the identity of the task that this process works on.
    TaskIdentity.task_id, TaskIdentity.run_id = 1, metadata.run_id
    TaskIdentity.node_id = site.connection.node.node_id
    site.answering = site.settings = None
    try:
        about = _about(site, metadata.run_id)
        site.settings = about.override_config
        given = permit(
            site.home,
            site.folder,
            about,
            metadata.message_type,
            lambda: fetch_bundle(site.connection, about.fab_hash, metadata.run_id),
        )
        begun = time.monotonic()
        site.answering = given.bundle
        if site.working_on != (metadata.run_id, given.plan):
            site.working_on = metadata.run_id, given.plan
            log.info("A run begins: plan %s, approved here.", given.plan[:SHOWN_DIGITS])
        context = Context(
            run_id=metadata.run_id,
            node_id=site.connection.node.node_id,
            node_config={
                "site": str(site.folder), "deployed": True, "keep": str(site.home.kept),
            },
            state=RecordDict(),
            run_config=given.config.to_flat(),
        )  # fmt: skip
        site.settings = context.run_config
        try:
            reply = _work(site, given, received, context)
            if reply.message.HasField("error"):
                site.complaints.hear_reply(reply.message.error.reason)
            return reply
        finally:
            settle(site.home, time.monotonic() - begun)
    except (Unrecognised, RunOver, Stopped):
        raise
    except FedThawError as error:
        site.complaints.hear(error)
        return _error(received.message, error.shareable)
    except Exception as error:
        # A bundle that is invalid, an answer that makes no sense: the client outlives it.
        what = type(error).__name__
        log.error("A message could not be processed (%s: %s).", what, error)
        log.debug("", exc_info=True)
        return _error(received.message, f"an unexpected {what}; the site's own log says more")


def _about(site: Site, run: int) -> Run:
    """The run's settings and the digest of its bundle, asked for once."""
    if site.run is None or site.run.run_id != run:
        site.run = fetch_run(site.connection, run)
    return site.run


def _work(site: Site, given: Permit, received: Received, context: Context) -> Reply:
    for attempt in range(1, ATTEMPTS + 1):
        if site.worker is not None and not _fits(site, site.worker, given.bundle):
            end_worker(site.worker)
            site.worker = None
        if site.worker is None:
            fetch_weights(site.folder, context.run_config, site.connection.stop)
            sources, room = read_sources(given.bundle, given.content), make_room(site.home)
            reach = reach_for(site.folder, site.home, room)
            site.worker = start_worker(given.bundle, sources, room, reach)
        try:
            return let_work(site.worker, received, context, site.connection.stop, given.limits)
        except LimitReached as error:
            site.worker = None
            raise beyond(given, str(error)) from error
        except WorkerDied as error:
            site.worker = None
            log.error("The working process died in attempt %d: %s.", attempt, error)
            last = str(error)
    raise SiteError(
        f"The working process died {ATTEMPTS} times over one message: {last}.",
        shareable="its working process died; the site's own log says more",
    )


def _fits(site: Site, worker: Worker, digest: str) -> bool:
    """Whether the process runs this bundle and reaches the site's files as they are now.

    A file that was replaced is another one to the rules that the process was started with.
    """
    if worker.bundle != digest:
        return False
    reach = reach_for(site.folder, site.home, worker.room)
    return worker.stamp == (reach.stamp() if reach else None)


def send(site: Site, asked: Mapping[str, Any], reply: Reply, seconds: float) -> None:
    """Write down what was asked (`describe_request`) and what leaves, then send it."""
    run = reply.message.metadata.run_id
    entry = {
        "to": site.connection.server,
        "run": run,
        "bundle": site.answering,
        **describe(reply),
        "asked": asked,
        "settings": None if site.settings is None else bounded(plain(site.settings)),
    }
    try:
        line = append(site.home.audit, entry)
    except OSError as error:
        # No SiteError, whose exit code is final for systemd: a full disk passes.
        raise FedThawError(
            f"The audit log {site.home.audit.path} cannot be written ({error.strerror}); nothing "
            "is sent until that is fixed."
        ) from error
    if site.syslog is not None:
        site.syslog.send(line)
    push(site.connection, reply.message, reply.tree, reply.parts, seconds)


def _error(message: Message, sentence: str) -> Reply:
    """An error reply, in the form in which worked-on replies come."""
    reply = Message(Error(FAILED, sentence), reply_to=message)
    reply.metadata.__dict__["_message_id"] = reply.object_id
    objects = get_all_nested_objects(reply)
    tree: ObjectTree = get_object_tree(reply)
    parts = {identifier: one.deflate() for identifier, one in objects.items()}
    return Reply(message_to_proto(remove_content_from_message(reply)), tree, parts)
