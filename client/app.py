"""The site's Flower ClientApp: one handler a message type."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.typing import ClientAppCallable

from shared.libraries import undisturbed

with undisturbed():
    import torch
    import torchvision  # noqa: F401 (see shared/model/network.py)

    from client.handlers.candidates import candidates_on_site
    from client.handlers.check import check_settings
    from client.handlers.compare import compare_contrasts_on_site, compare_on_site, count_on_site
    from client.handlers.describe import describe_site
    from client.handlers.evaluate import evaluate_on_site
    from client.handlers.train import train_on_site
    from client.mods import MODS
    from client.received import LackingError
    from client.workspace import Workspace, open_workspace
    from shared.errors import FedThawError
    from shared.memory import spare_memory
    from shared.outcome.binary import BINARY
    from shared.plain import shown
    from shared.protocol.candidates import CandidatesRequest
    from shared.protocol.compare import CompareRequest, CountRequest
    from shared.protocol.contrasts import ContrastRequest
    from shared.protocol.describe import MESSAGE_TYPE as DESCRIBE_TYPE
    from shared.protocol.describe import DescribeRequest
    from shared.protocol.evaluate import EvaluateRequest
    from shared.protocol.replies import DIVERGED, FAILED, UNEXPECTED, reader_owns_the_site
    from shared.protocol.sent_model import LackingReply
    from shared.protocol.train import TrainRequest
    from shared.settings.config import RunConfig
    from shared.settings.parse import parse_run_config

log = logging.getLogger("fedthaw.site")


def contained(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """The outermost mod: what one of the others raises gives nothing of the site away."""
    try:
        return call_next(message, context)
    except Exception as error:
        return _unexpected(message, _site(message, context), error)


app = ClientApp(mods=[contained, *MODS])


@app.query()
def describe(message: Message, context: Context) -> Message:
    """Who this site is."""

    def work(workspace: Workspace, config: RunConfig) -> RecordDict:
        request = DescribeRequest.from_content(message.content)
        return describe_site(workspace, config, request.run).to_content()

    # A run begins: images and outcomes that are new since the last one are read.
    return _answer(message, context, work, refresh=True)


@app.train()
def train(message: Message, context: Context) -> Message:
    """One round."""

    def work(workspace: Workspace, config: RunConfig) -> RecordDict:
        request = TrainRequest.from_content(message.content, config.network)
        return train_on_site(workspace, config, request).to_content()

    return _answer(message, context, work)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Evaluation alone."""

    def work(workspace: Workspace, config: RunConfig) -> RecordDict:
        request = EvaluateRequest.from_content(message.content, config.network)
        return evaluate_on_site(workspace, config, request).to_content()

    return _answer(message, context, work)


@app.evaluate("candidates")
def candidates(message: Message, context: Context) -> Message:
    """Candidates for the final model, counted on validation patients."""

    def work(workspace: Workspace, config: RunConfig) -> RecordDict:
        request = CandidatesRequest.from_content(message.content, config.network)
        return candidates_on_site(workspace, config, request).to_content()

    return _answer(message, context, work)


@app.evaluate("count")
def count(message: Message, context: Context) -> Message:
    """Scores that were kept, counted over several runs."""

    def work(workspace: Workspace, config: RunConfig) -> RecordDict:
        request = CountRequest.from_content(message.content)
        check_settings(workspace, config)
        return count_on_site(workspace, request).to_content()

    return _answer(message, context, work)


@app.evaluate("compare")
def compare(message: Message, context: Context) -> Message:
    """Two scorings of the same patients."""

    def work(workspace: Workspace, config: RunConfig) -> RecordDict:
        check_settings(workspace, config)
        if workspace.outcome != BINARY:
            contrasts = ContrastRequest.from_content(message.content, workspace.outcome)
            return compare_contrasts_on_site(workspace, contrasts).to_content()
        request = CompareRequest.from_content(message.content)
        return compare_on_site(workspace, request).to_content()

    return _answer(message, context, work)


def _answer(
    message: Message,
    context: Context,
    work: Callable[[Workspace, RunConfig], RecordDict],
    *,
    refresh: bool = False,
) -> Message:
    """Reply with the work's content, or with why there is none."""
    site = _site(message, context)
    try:
        config = parse_run_config(context.run_config)
        if config.activations != "exact":
            spare_memory()
        workspace = open_workspace(context.node_config, config, refresh=refresh)
        reply = Message(_content(work, workspace, config), reply_to=message)
        if refresh:
            no_complaint(site)
        return reply
    except FedThawError as error:
        code = DIVERGED if error.diverged else FAILED
        return _failure(message, site, code, str(error), error.shareable)
    except OSError as error:
        # By its number: a library may have written anything, such as a path, as the text of it.
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        where = f"{error.filename}: " if error.filename else ""
        return _failure(
            message,
            site,
            FAILED,
            f"{where}{error.strerror or error}; make room or check the permissions there.",
            f"its disk or a folder of it fails ({reason}); the site's own log says which",
        )
    except torch.OutOfMemoryError as error:
        remedy = "lower batch-size or image-size in the run, or set device in site.toml"
        return _failure(
            message,
            site,
            FAILED,
            f"The GPU's memory is full ({error}); {remedy}.",
            f"its GPU's memory is full; {remedy}",
        )
    except Exception as error:
        return _unexpected(message, site, error)


def _content(
    work: Callable[[Workspace, RunConfig], RecordDict], workspace: Workspace, config: RunConfig
) -> RecordDict:
    try:
        return work(workspace, config)
    except LackingError as error:
        return LackingReply(workspace.name, error.units).to_content()


def _unexpected(message: Message, site: str, error: Exception) -> Message:
    what = f"an unexpected {type(error).__name__}"
    story = f"{what} while answering a '{message.metadata.message_type}' message: {error}"
    return _failure(message, site, UNEXPECTED, story, f"{what}; the site's own log says more")


def _failure(message: Message, site: str, code: int, story: str, shareable: str) -> Message:
    """An error reply that gives nothing of the site away: the story stays in the site's own log.

    Where its reader owns the site, the reply itself is the story.
    """
    log.debug("", exc_info=True)
    if reader_owns_the_site():
        return Message(Error(code, story), reply_to=message)
    story = shown(story)  # it may quote the message, and is one line of the log
    if message.metadata.message_type == DESCRIBE_TYPE:
        complain(site, story)
    else:
        log.error("%s", story)
    return Message(Error(code, shareable), reply_to=message)


def _site(message: Message, context: Context) -> str:
    """Which site this process answers for, by which their complaints are kept apart."""
    folders = context.node_config.get("site") or context.run_config.get("sites")
    return f"{folders} {message.metadata.dst_node_id}"


_said: dict[str, str] = {}
"""By site: why it cannot take part, as it was said last."""


def complain(site: str, story: str) -> None:
    """Log why the site cannot take part, unless that was said last: it is asked again and again."""
    if _said.get(site) != story:
        log.error("This site cannot take part: %s It is asked again later.", _sentence(story))
    _said[site] = story


def no_complaint(site: str) -> None:
    """Log that the problem is over, where there was one."""
    if _said.pop(site, None) is not None:
        log.warning("What kept this site from taking part is fixed; it takes part again.")


def _sentence(story: str) -> str:
    return story if story.endswith((".", "?")) else f"{story}."
