"""The site's Flower ClientApp: one handler a message type."""

from __future__ import annotations

import logging
from collections.abc import Callable

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp

from client.handlers import describe_site, evaluate_on_site, train_on_site
from client.workspace import Workspace, open_workspace
from shared.config import RunConfig, parse_run_config
from shared.errors import FedThawError
from shared.protocol.describe import DescribeRequest
from shared.protocol.evaluate import EvaluateRequest
from shared.protocol.train import TrainRequest

log = logging.getLogger("fedthaw.site")

FAILED, UNEXPECTED = 1, 2
"""Codes of Flower's error replies."""

app = ClientApp()


@app.query()
def describe(message: Message, context: Context) -> Message:
    """Who this site is."""

    def work(workspace: Workspace, config: RunConfig) -> RecordDict:
        DescribeRequest.from_content(message.content)
        return describe_site(workspace, config).to_content()

    return _answer(message, context, work)


@app.train()
def train(message: Message, context: Context) -> Message:
    """One round."""

    def work(workspace: Workspace, config: RunConfig) -> RecordDict:
        request = TrainRequest.from_content(message.content)
        return train_on_site(workspace, config, request).to_content()

    return _answer(message, context, work)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Evaluation alone."""

    def work(workspace: Workspace, config: RunConfig) -> RecordDict:
        request = EvaluateRequest.from_content(message.content)
        return evaluate_on_site(workspace, config, request).to_content()

    return _answer(message, context, work)


def _answer(
    message: Message, context: Context, work: Callable[[Workspace, RunConfig], RecordDict]
) -> Message:
    """Reply with the work's content, or with an error that gives nothing of the site away.

    The whole story of an error stays in the site's own log.
    """
    try:
        config = parse_run_config(context.run_config)
        workspace = open_workspace(context.node_config, config)
        return Message(work(workspace, config), reply_to=message)
    except FedThawError as error:
        log.error("%s", error)
        log.debug("", exc_info=True)
        return Message(Error(FAILED, error.shareable), reply_to=message)
    except Exception as error:
        log.error(
            "%s while answering a '%s' message: %s",
            type(error).__name__,
            message.metadata.message_type,
            error,
        )
        log.debug("", exc_info=True)
        reason = f"an unexpected {type(error).__name__}; the site's own log says more"
        return Message(Error(UNEXPECTED, reason), reply_to=message)
