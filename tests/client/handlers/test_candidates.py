from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from client.evaluate import evaluate_samples
from client.exchange import place
from client.handlers.candidates import candidates_on_site
from client.handlers.evaluate import evaluate_on_site
from client.workspace import Workspace, shared_model, training_samples
from shared.errors import FedThawError, ProtocolError
from shared.metrics.classes.kinds import Counts
from shared.model.manifest import manifest_of_parts
from shared.protocol.candidates import CandidatesRequest
from shared.protocol.evaluate import EvaluateRequest, Nearer
from shared.settings.config import RunConfig
from shared.settings.ending import SHARES
from shared.settings.schedule import total_rounds
from shared.wire.arrays import Arrays, to_record

OpenSite = Callable[..., tuple[Workspace, RunConfig]]
THAWED = ("layer2", "layer3", "layer4", "head")


def drawn(workspace: Workspace, config: RunConfig, parts: tuple[str, ...], seed: int) -> Arrays:
    """What a training might have changed; variances grow."""
    network = shared_model(config.backbone, config.dropout, workspace.device)
    rng = np.random.default_rng(seed)
    return {
        spec.name: np.abs(rng.normal(0, 0.3, spec.shape)).astype(np.float32)
        for spec in manifest_of_parts(network, parts, config.batch_norm)
    }


Asked = Callable[[Workspace, RunConfig, Arrays, Arrays], CandidatesRequest]


@pytest.fixture
def asked(requests: SimpleNamespace) -> Asked:
    def make(
        workspace: Workspace, config: RunConfig, start: Arrays, end: Arrays
    ) -> CandidatesRequest:
        number = total_rounds(config)
        return CandidatesRequest(
            run="run-1", base=workspace.base.digest, after_round=number,
            probed=("head",), shares=SHARES, start=to_record(start),
            model=requests.sent_whole(workspace, config, number + 1, THAWED, end),
        )  # fmt: skip

    return make


@pytest.mark.parametrize("feature_cache", ["auto", "off"])
def test_each_candidate_is_counted_as_if_it_were_the_model(
    open_site: OpenSite, asked: Asked, feature_cache: str
) -> None:
    workspace, config = open_site(end="guarded", feature_cache=feature_cache)
    start, end = drawn(workspace, config, ("head",), 1), drawn(workspace, config, THAWED, 2)
    reply = candidates_on_site(workspace, config, asked(workspace, config, start, end))
    model = shared_model(config.backbone, config.dropout, workspace.device)
    samples = training_samples(workspace, config).validation
    found: list[Counts] = []
    for share in SHARES:
        zero = {name: np.zeros_like(array) for name, array in end.items()} | start
        place(workspace, model, {n: zero[n] + np.float32(share) * (end[n] - zero[n]) for n in end})
        found.append(evaluate_samples(model, samples, config.batch_size))
    assert list(reply.counts) == found
    assert len(set(found)) > 1
    assert not list(workspace.state_folder("run-1").glob("scores-*"))


def test_nothing_but_what_the_settings_imply_is_answered(open_site: OpenSite, asked: Asked) -> None:
    workspace, config = open_site(end="guarded")
    start, end = drawn(workspace, config, ("head",), 1), drawn(workspace, config, THAWED, 2)
    request = asked(workspace, config, start, end)
    shares = (0.0, 0.1, 1.0)
    for wrong in (
        dataclasses.replace(request, after_round=1),
        dataclasses.replace(request, shares=shares),
        dataclasses.replace(request, probed=THAWED, start=request.model.delta),
    ):
        with pytest.raises(ProtocolError, match="not those of the run's settings"):
            candidates_on_site(workspace, config, wrong)
    with pytest.raises(ProtocolError, match="not those of the run's settings"):
        candidates_on_site(workspace, dataclasses.replace(config, end="last"), request)
    with pytest.raises(ProtocolError, match="pretrained base"):
        candidates_on_site(workspace, config, dataclasses.replace(request, base="sha256:00"))


def test_a_run_that_ended_early_asks_after_the_rounds_in_which_it_may(
    open_site: OpenSite, asked: Asked
) -> None:
    workspace, config = open_site(
        end="guarded", schedule="adaptive", patience=2, probe_rounds=4, rounds=7
    )
    start, end = drawn(workspace, config, ("head",), 1), drawn(workspace, config, THAWED, 2)
    request = dataclasses.replace(asked(workspace, config, start, end), after_round=10)
    assert len(candidates_on_site(workspace, config, request).counts) == len(SHARES)
    for round_number in (4, 8, 9, 12):
        wrong = dataclasses.replace(request, after_round=round_number)
        with pytest.raises(ProtocolError, match="not those of the run's settings"):
            candidates_on_site(workspace, config, wrong)


def test_a_model_that_gives_no_numbers_is_said_to_have_diverged(
    open_site: OpenSite, asked: Asked
) -> None:
    workspace, config = open_site(end="guarded")
    start, end = drawn(workspace, config, ("head",), 1), drawn(workspace, config, THAWED, 2)
    sign = np.float32(-1) ** np.arange(end["fc.weight"].size, dtype=np.float32)
    end = {n: np.full_like(a, 1e14) if "running" not in n else a for n, a in end.items()}
    end["fc.weight"] *= sign.reshape(end["fc.weight"].shape)
    with pytest.raises(FedThawError, match="diverged") as raised:
        candidates_on_site(workspace, config, asked(workspace, config, start, end))
    assert raised.value.diverged


@pytest.mark.parametrize(
    ("settings", "share", "probed"),
    [
        ({"end": "guarded"}, 0.1, ("head",)),
        ({"end": "guarded"}, 0.25, ("layer4", "head")),
        ({"end": "last"}, 0.25, ("head",)),
    ],
)
def test_the_final_evaluation_is_of_the_same_points_and_no_others(
    open_site: OpenSite, asked: Asked, settings: dict[str, str], share: float,
    probed: tuple[str, ...],
) -> None:  # fmt: skip
    workspace, config = open_site(**settings)
    start, end = drawn(workspace, config, probed, 1), drawn(workspace, config, THAWED, 2)
    candidates = asked(workspace, config, start, end)
    request = EvaluateRequest(
        run="run-1", base=candidates.base, scope="validation", after_round=candidates.after_round,
        final=False, model=candidates.model, nearer=Nearer(share, probed, candidates.start),
    )  # fmt: skip
    with pytest.raises(ProtocolError, match="not one that the run's settings allow"):
        evaluate_on_site(workspace, config, request)
    workspace, config = open_site(end="guarded")
    start = drawn(workspace, config, ("head",), 1)
    allowed = Nearer(0.25, ("head",), to_record(start))
    reply = evaluate_on_site(workspace, config, dataclasses.replace(request, nearer=allowed))
    expected = candidates_on_site(workspace, config, asked(workspace, config, start, end))
    assert reply.histogram == expected.counts[SHARES.index(0.25)]
