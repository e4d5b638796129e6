"""Reading what sites reply: a reply that breaks the contract is refused with a reason."""

from __future__ import annotations

from collections.abc import Mapping

from flwr.app import Message, RecordDict

from shared.errors import ProtocolError, RunError
from shared.metrics.paired import PairedSums
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome
from shared.plain import one_line
from shared.protocol.compare import CompareReply
from shared.protocol.describe import SiteDescription
from shared.protocol.evaluate import EvaluateReply
from shared.protocol.train import TrainReply
from shared.settings.schedule import Plan

REASON_LIMIT = 2000
"""Characters of a site's error that are kept."""


def error_reason(reply: Message) -> str:
    """Why a site failed, in its own words: one printable line, as it goes to terminals and logs."""
    said = one_line(reply.error.reason or "", REASON_LIMIT)
    return said.strip().rstrip(".") or "it failed without a reason"


def read_train_reply(
    content: RecordDict,
    site: SiteDescription,
    plan: Plan,
    frozen: str,
    outcome: Outcome = BINARY,
) -> TrainReply:
    """A reply that keeps the contract, its tensors not decoded yet; ProtocolError otherwise."""
    reply = TrainReply.from_content(content, outcome)
    require_name(reply.site, site.name)
    if reply.round != plan.round:
        raise ProtocolError(f"its reply is of round {reply.round}, not {plan.round}")
    if reply.frozen != frozen:
        raise ProtocolError("its frozen stages differ from the base")
    return reply


def read_evaluate_reply(content: RecordDict, name: str, outcome: Outcome = BINARY) -> EvaluateReply:
    """A reply that keeps the contract; ProtocolError that says in what it does not."""
    reply = EvaluateReply.from_content(content, outcome)
    require_name(reply.site, name)
    return reply


def require_name(said: str, name: str) -> None:
    """ProtocolError where a reply is in another site's name."""
    if said != name:
        raise ProtocolError(f"it now calls itself '{said}'")


def fitting_sums(reply: CompareReply, empty: PairedSums) -> PairedSums:
    """A site's sums; ProtocolError where they cannot be added to `empty` ones of the request's.

    They are then of other repeats, or of other pooled patients, than were asked about.
    """
    try:
        return empty + reply.sums
    except ValueError as error:
        raise ProtocolError(str(error)) from error


def as_sentence(text: str) -> str:
    """The text with a full stop, unless it ends as a sentence already."""
    return text if text.endswith((".", "?")) else f"{text}."


def list_problems(problems: Mapping[str, str]) -> str:
    """`name: why; name: why`, sorted by name and without a full stop."""
    return "; ".join(f"{name}: {why.rstrip('.')}" for name, why in sorted(problems.items()))


class ReceivedDivergedError(RunError):
    """Most of the sites could not use the weights that they were sent."""


def require_usable_weights(diverged: Mapping[str, str], asked: int, after_round: int) -> None:
    """ReceivedDivergedError where most of the sites say so, and how.

    One of two is no majority: its own training may have diverged.
    """
    if 2 * len(diverged) <= asked:
        return
    raise ReceivedDivergedError(
        f"Most of the sites could not use the weights of round {after_round}. "
        f"{list_problems(diverged)}. The rounds before it are kept: lower the learning rates "
        "(lr-head, rates) in a new run."
    )
