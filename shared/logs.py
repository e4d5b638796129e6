"""What a long-running process says in its log."""

from __future__ import annotations

import logging

_ROOMS = ("fedthaw", "flwr")


def speak(name: str) -> None:
    """Show what this process has to tell its owner, a line each with the time.

    Flower's own lines stay out unless `--debug` asked for all: they tell of every request.
    """
    logging.basicConfig(
        level=logging.WARNING,
        format="%(asctime)s %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
        force=True,
    )
    if logging.getLogger("fedthaw").isEnabledFor(logging.DEBUG):
        return
    logging.getLogger(name).setLevel(logging.INFO)
    quieten_flower()


def quieten_flower() -> None:
    """Flower sets its log to INFO when it is imported, so this follows the import."""
    import flwr.supercore.logger  # noqa: F401

    flower = logging.getLogger("flwr")
    flower.setLevel(logging.CRITICAL)  # its errors quote what a stranger has sent
    # It has a handler of its own; ours would say everything twice.
    flower.propagate = False
