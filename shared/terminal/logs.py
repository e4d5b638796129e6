"""What a process says in its log, and what of its libraries' logs is shown there."""

from __future__ import annotations

import copy
import logging

from shared.deployment.proxies import dropped_proxies
from shared.plain import shown

OWN = "fedthaw"
_FORM, _TIMED_FORM, _TIME = "%(message)s", "%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"
_UNHEARD = ("pydicom", "PIL", "openpyxl", "gdcm", "flwr", "py")
"""Libraries whose log may quote a patient's header, or what a stranger has sent."""


def begin(debug: bool) -> None:
    """Send the log to standard error: FedThaw's own errors, a line each; all of it with `debug`."""
    logging.basicConfig(level=logging.WARNING, format=_FORM)
    for name in (OWN, "flwr"):
        logging.getLogger(name).setLevel(logging.DEBUG if debug else logging.ERROR)
    if not debug:
        _keep_to_sentences(logging.CRITICAL + 1, _FORM)


def log_to_terminal(name: str) -> None:
    """Show what this process logs for its owner, a line each with the time.

    Flower's own lines stay out unless `--debug` asked for all: they log every request. Other
    libraries' errors come as a line without a traceback.
    """
    logging.basicConfig(level=logging.WARNING, format=_TIMED_FORM, datefmt=_TIME, force=True)
    if logging.getLogger(OWN).isEnabledFor(logging.DEBUG):
        return
    _keep_to_sentences(logging.ERROR, _TIMED_FORM)
    logging.getLogger(name).setLevel(logging.INFO)
    for sentence in dropped_proxies():
        logging.getLogger(name).warning("%s", sentence)
    quieten_flower()


def quieten_flower() -> None:
    """Flower sets its log to INFO when it is imported, so this follows the import."""
    import flwr.supercore.logger  # noqa: F401

    flower = logging.getLogger("flwr")
    flower.setLevel(logging.CRITICAL)  # its errors quote what a stranger has sent
    # It has a handler of its own; ours would say everything twice.
    flower.propagate = False


def _keep_to_sentences(libraries: int, form: str) -> None:
    """Have the root's handlers show a line a record, of libraries from this level on only."""
    for handler in logging.getLogger().handlers:
        if type(handler) is logging.StreamHandler:  # ours; a test's own see everything
            handler.addFilter(_Heard(libraries))
            handler.setFormatter(_Sentence(form, _TIME))


class _Heard(logging.Filter):
    """Lets FedThaw's own records pass, and those of libraries from a level on."""

    def __init__(self, libraries: int) -> None:
        super().__init__()
        self._libraries = libraries

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown."""
        top = record.name.partition(".")[0]
        return top == OWN or (record.levelno >= self._libraries and top not in _UNHEARD)


class _Sentence(logging.Formatter):
    """A record in a line: the error's name in place of its traceback.

    What it quotes may be another machine's: it neither begins a line nor commands a terminal.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return shown(self._line(record))

    def _line(self, record: logging.LogRecord) -> str:
        if record.exc_info is None and record.stack_info is None:
            return super().format(record)
        shown = copy.copy(record)
        error = record.exc_info[1] if record.exc_info else None
        text = record.getMessage().strip() or "An error occurred"
        shown.msg = text if error is None else f"{text.rstrip('.')} ({type(error).__name__})."
        shown.args, shown.exc_info, shown.exc_text, shown.stack_info = (), None, None, None
        return super().format(shown)
