"""After the last round: the final model at the sites, model.safetensors and summary.json."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from pathlib import Path

from flwr.app import RecordDict
from safetensors import SafetensorError
from safetensors.torch import save_file

from server.collect import Missing, send_and_collect
from server.evaluation import metrics_by_site, pooled_metrics
from server.federation import Federation
from server.global_model import Reference, full_state, select
from server.replies import list_problems, read_evaluate_reply
from server.run.summary import FinalEvaluation
from server.waiting import wait_for_sites
from shared.config import RunConfig
from shared.errors import ProtocolError, RunError
from shared.events import ReplyReceived, Warned, emit
from shared.files import write_atomically
from shared.protocol.evaluate import MESSAGE_TYPE, EvaluateReply, EvaluateRequest
from shared.schedule import stages_ever_thawed
from shared.wire.arrays import Arrays, encode
from shared.wire.size import serialized_size


def evaluate_final(
    federation: Federation, delta: Arrays, rounds: int, expected: Collection[str] = ()
) -> FinalEvaluation:
    """The model after the last round at every site that is there.

    A site that fails is asked again `retries` times, then named as missing; RunError where fewer
    than `min-sites` answered.
    """
    started = time.monotonic()
    stages = stages_ever_thawed(federation.config, rounds)
    specs = federation.reference.specs(stages)  # float32: what is evaluated is model.safetensors
    content = EvaluateRequest(
        run=federation.run,
        base=federation.reference.base.digest,
        scope="validation",
        after_round=rounds,
        thawed=stages,
        final=True,
        delta=encode(select(federation.reference, delta, stages), specs).record,
    ).to_content()
    replies: dict[str, EvaluateReply] = {}
    missing: dict[str, str] = {}
    down = up = asked = 0
    for _ in range(federation.config.retries + 1):
        sites = {
            n: s.name
            for n, s in wait_for_sites(federation, expected).items()
            if s.name not in replies
        }
        if not sites:
            break
        asked += len(sites)
        down += serialized_size(content) * len(sites)
        missing = dict.fromkeys(sites.values(), "no reply in time")
        up += _collect(federation, content, sites, replies, missing)
    if len(replies) < federation.config.min_sites:
        raise RunError(
            f"{len(replies)} of at least {federation.config.min_sites} sites evaluated the final "
            f"model. {list_problems(missing)}. All rounds are kept: mend this and continue with "
            "--resume."
        )
    absent = {site.name for site in federation.roster.sites.values()} - set(replies)
    missing = dict.fromkeys(absent, "not connected") | missing
    for name, why in sorted(missing.items()):
        emit(Warned(f"{name} is not in the final evaluation: {why.rstrip('.')}."))
    return FinalEvaluation(
        pooled=pooled_metrics(reply.histogram for reply in replies.values()),
        sites=metrics_by_site(
            {name: reply.histogram for name, reply in replies.items()},
            {name for name, reply in replies.items() if reply.suppress},
        ),
        missing=missing,
        bytes_down=down,
        bytes_up=up,
        bytes_full_exchange=asked * federation.full_model_bytes,
        seconds=time.monotonic() - started,
        evaluate_seconds=sum(reply.seconds for reply in replies.values()),
    )


def _collect(
    federation: Federation,
    content: RecordDict,
    sites: dict[int, str],
    replies: dict[str, EvaluateReply],
    missing: dict[str, str],
) -> int:
    """Ask these sites once and enter what they say; returns the bytes received."""
    received = 0
    contents = dict.fromkeys(sites, content)
    for node, message in send_and_collect(
        federation.grid, contents, federation.question(MESSAGE_TYPE, "final"),
        look=federation.look, on_loss=federation.lost, check=federation.check,
    ):  # fmt: skip
        name = sites[node]
        if isinstance(message, Missing):
            missing[name] = message.reason
            emit(ReplyReceived(name, message.reason))
            continue
        try:
            replies[name] = read_evaluate_reply(message, name)
            missing.pop(name)
        except ProtocolError as error:
            missing[name] = str(error)
        if message.has_content():
            received += serialized_size(message.content)
        emit(ReplyReceived(name, missing.get(name)))
    return received


def write_model(path: Path, reference: Reference, delta: Arrays, config: RunConfig) -> None:
    """The full model with the names of torchvision's network, so that it loads there.

    Its metadata say what the network wants to see. Its bytes depend on the weights and the
    configuration alone, so equal runs give equal files.
    """
    state = full_state(reference, delta)
    network = {
        "backbone": config.backbone,
        "classes": 1,
        "input": f"(n, 1, {config.image_size}, {config.image_size}) in [-1024, 1024]",
        "image-fit": config.image_fit,
    }
    # One entry: safetensors writes several in an order that differs from process to process.
    metadata = {"network": json.dumps(network)}
    if config.batch_norm == "local":
        emit(
            Warned(
                "With batch-norm=local the BatchNorm statistics of the thawed stages stay at the "
                "sites: model.safetensors has the base's, and is none of the models evaluated here."
            )
        )
    try:
        write_atomically(path, lambda temporary: save_file(state, temporary, metadata))
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"The final model cannot be written to {path} ({error}); make room there and "
            "continue with --resume."
        ) from error
