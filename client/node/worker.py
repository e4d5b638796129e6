"""Runs an approved bundle's client app, in a process that stays from message to message.

Started by its path, in Python's isolated mode and without the module `site`: neither PYTHONPATH nor
.pth files, sitecustomize or the working directory have a say. Its arguments are the number of a
pipe, an empty folder to work in, and the folders of the installed libraries. The bundle's sources
come through the pipe; the packages' names belong to them alone, and no compiled file is read or
written. PyTorch is imported and the site's data is read once; then each message costs its own work.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec
from multiprocessing.connection import Connection
from types import CodeType, ModuleType

PACKAGES = ("client", "server", "shared")


class BrokenBundle(Exception):
    """The bundle has no client app, or a module does not come from its sources."""


class ApprovedSources(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds the bundle's modules in memory; what is not there is not looked for elsewhere."""

    def __init__(self, sources: Mapping[str, bytes], folder: str) -> None:
        self._sources, self._folder = sources, folder

    @property
    def sources(self) -> Mapping[str, bytes]:
        """The sources by the names of their files, for a process that this one starts."""
        return self._sources

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The specification of a module of the bundle, None for a library's."""
        if fullname.partition(".")[0] not in PACKAGES:
            return None
        name = self._name(fullname)
        place = os.path.join(self._folder, name)
        spec = importlib.util.spec_from_loader(
            fullname, self, origin=place, is_package=self.is_package(fullname)
        )
        assert spec is not None
        spec.has_location = True  # its name in a traceback; there is no file
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(os.path.dirname(place))
        return spec

    def is_package(self, fullname: str) -> bool:
        """Whether the module is an `__init__.py`; ModuleNotFoundError where there is none."""
        return self._name(fullname).endswith("/__init__.py")

    def get_source(self, fullname: str) -> str:
        """The source of a module, for tracebacks."""
        return importlib.util.decode_source(self._sources[self._name(fullname)])

    def get_code(self, fullname: str) -> CodeType:
        """The module's code, compiled from the bytes that were approved."""
        name = self._name(fullname)
        place = os.path.join(self._folder, name)
        return compile(self._sources[name], place, "exec", dont_inherit=True)

    def _name(self, fullname: str) -> str:
        stem = fullname.replace(".", "/")
        for name in (f"{stem}/__init__.py", f"{stem}.py"):
            if name in self._sources:
                return name
        raise ModuleNotFoundError(f"The bundle has no module {fullname}.", name=fullname)

    def require_own(self) -> None:
        """BrokenBundle where a module under the packages' names came from somewhere else."""
        for name, module in list(sys.modules.items()):
            loader = getattr(getattr(module, "__spec__", None), "loader", None)
            if name.partition(".")[0] in PACKAGES and loader is not self:
                raise BrokenBundle(f"{name} is not from the approved bundle")


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
    except Exception as error:  # an invalid bundle, or one that needs what is not installed
        if debug:
            raise
        log.error("The run's code does not start here (%s: %s).", type(error).__name__, error)
        sys.exit(1)


def serve(pipe: Connection, folder: str) -> None:
    """Load the bundle's app, and let it answer."""
    threading.Thread(target=_die_with_parent, args=(os.getppid(),), daemon=True).start()
    sys.dont_write_bytecode = True
    sys.path.extend(sys.argv[3:])
    os.chdir(folder)
    try:
        own = install(_receive_sources(pipe), folder)
    except EOFError:
        return

    from flwr.clientapp.client_app import ClientApp

    app = importlib.import_module("client.app").app
    if not isinstance(app, ClientApp):
        raise BrokenBundle("client.app of the bundle has no client app")
    logging.getLogger("flwr").setLevel(logging.WARNING)
    while True:
        own.require_own()
        try:
            answer(app, pipe)
        except EOFError:
            return


def install(sources: Mapping[str, bytes], folder: str) -> ApprovedSources:
    """Let the packages' names mean these sources, before any other way of finding a module."""
    own = ApprovedSources(sources, folder)
    sys.meta_path.insert(0, own)
    return own


def _receive_sources(pipe: Connection) -> dict[str, bytes]:
    names = pipe.recv_bytes().decode("ascii").split("\n")
    return {name: pipe.recv_bytes() for name in names}


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
    """Keep libraries off the site's terminal, as `shared/terminal/noise.py` does for a command.

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
