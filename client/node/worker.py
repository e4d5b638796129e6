"""Runs an approved bundle's client app, in a process that stays from message to message.

Started by its path, with the number of a pipe and the bundle's folder. It imports nothing of
FedThaw by itself: the packages' names belong to the bundle. PyTorch is imported and the site's data
is read once; then each message costs its own work only.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import warnings
from multiprocessing.connection import Connection

log = logging.getLogger("fedthaw.site")


def main() -> None:
    """Answer messages until the pipe closes."""
    pipe, folder = Connection(int(sys.argv[1])), sys.argv[2]
    debug = "FEDTHAW_DEBUG" in os.environ
    if not debug:
        contain_libraries()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    if not debug:
        logging.getLogger().handlers[0].addFilter(lambda record: record.name.startswith("fedthaw"))
    try:
        serve(pipe, folder)
    except Exception as error:  # a bundle that is none, or that asks for what is not installed
        if debug:
            raise
        log.error("The run's code does not start here (%s: %s).", type(error).__name__, error)
        sys.exit(1)


def serve(pipe: Connection, folder: str) -> None:
    """Load the bundle's app, and let it answer."""
    threading.Thread(target=_die_with_parent, args=(os.getppid(),), daemon=True).start()
    sys.path.insert(0, folder)
    os.chdir(folder)

    from flwr.clientapp.client_app import ClientApp
    from flwr.supercore.object_ref import load_app

    class Broken(Exception):
        """The bundle has no client app."""

    app = load_app("client.app:app", Broken, folder)
    assert isinstance(app, ClientApp)
    module = sys.modules["client.app"].__file__ or ""
    if not os.path.realpath(module).startswith(os.path.realpath(folder) + os.sep):
        # The installed one would do, but it is not what the site's owner approved.
        raise Broken("the bundle has no client/app.py")
    logging.getLogger("flwr").setLevel(logging.WARNING)
    while True:
        try:
            answer(app, pipe)
        except EOFError:
            return


def answer(app: object, pipe: Connection) -> None:
    """Read one message from the pipe and write its reply."""
    from flwr.app import Context, Message
    from flwr.app.message import remove_content_from_message
    from flwr.common.serde import context_from_proto, message_to_proto
    from flwr.proto.message_pb2 import Context as ContextProto
    from flwr.supercore.inflatable.inflatable_object import (
        get_all_nested_objects,
        get_object_tree,
        no_object_id_recompute,
    )
    from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
    from flwr.supercore.task_identity import TaskIdentity

    context: Context = context_from_proto(ContextProto.FromString(pipe.recv_bytes()))
    identifiers = pipe.recv_bytes().decode("ascii").split()
    parts = {identifier: pipe.recv_bytes() for identifier in identifiers}
    TaskIdentity.task_id, TaskIdentity.run_id = 1, context.run_id
    TaskIdentity.node_id = context.node_id
    message = inflate_object_from_contents(identifiers[0], parts)
    assert isinstance(message, Message)
    message.metadata.__dict__["_message_id"] = identifiers[0]

    assert callable(app)
    reply = app(message, context)
    del message, parts
    reply.metadata.__dict__["_message_id"] = reply.object_id
    with no_object_id_recompute():
        objects = get_all_nested_objects(reply)
        pipe.send_bytes(message_to_proto(remove_content_from_message(reply)).SerializeToString())
        pipe.send_bytes(get_object_tree(reply).SerializeToString())
        pipe.send_bytes(" ".join(objects).encode("ascii"))
        for identifier in list(objects):
            pipe.send_bytes(objects.pop(identifier).deflate())


def contain_libraries() -> None:
    """Keep libraries off the site's terminal, as `shared/noise.py` does for a command.

    The packages' names belong to the bundle here, so it is written out.
    """
    terminal = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)  # C libraries write here
    sys.stderr = open(terminal, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    warnings.simplefilter("ignore")
    threading.excepthook = lambda error: None
    sys.unraisablehook = lambda error: None


def _die_with_parent(parent: int) -> None:
    """End at once when the parent is gone: its successor starts a worker of its own."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


if __name__ == "__main__":
    main()
