"""A coordinator that departs from its code asks for more than the approved settings imply."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from client.handlers.compare import count_on_site
from client.handlers.evaluate import evaluate_on_site
from client.policy.refusal import PolicyError
from client.workspace import Workspace
from shared.errors import ProtocolError, SiteError
from shared.metrics.classes.kinds import patients_by_class
from shared.protocol.compare import CountRequest
from shared.protocol.evaluate import EvaluateReply, EvaluateRequest
from shared.settings.config import RunConfig

OPEN_RULES = "external-evaluation = true"
Open = Callable[..., tuple[Workspace, RunConfig]]


def asked(
    requests: SimpleNamespace, workspace: Workspace, config: RunConfig, stages: tuple[str, ...],
    after: int,
) -> EvaluateReply:  # fmt: skip
    """The validation patients under a model in which these stages are others than the base's."""
    delta = requests.delta_of(workspace, config, stages)
    model = requests.sent_whole(workspace, config, after + 1, stages, delta)
    request = EvaluateRequest("run-1", workspace.base.digest, "validation", after, False, model)
    return evaluate_on_site(workspace, config, request)


@pytest.mark.parametrize(
    ("schedule", "stages", "after"),
    [
        ("probe", ("stem", "layer1", "layer2", "layer3", "layer4", "head"), 5),
        ("probe", ("layer4", "head"), 5),
        ("probe", ("head",), 4),
        ("progressive", ("layer4", "head"), 5),
        ("progressive", ("head",), 1),
    ],
)
def test_no_model_is_evaluated_but_one_that_the_run_may_end_with(
    open_deployed: Open, requests: SimpleNamespace, schedule: str, stages: tuple[str, ...],
    after: int,
) -> None:  # fmt: skip
    """A whole network of the coordinator's own could count whatever it wants to know of images."""
    workspace, config = open_deployed(schedule=schedule)
    with pytest.raises(ProtocolError, match="not one that the run's settings allow"):
        asked(requests, workspace, config, stages, after)


@pytest.mark.parametrize(
    ("schedule", "stages"),
    [("probe", ("head",)), ("progressive", ("layer2", "layer3", "layer4", "head"))],
)
def test_the_model_at_the_end_is_evaluated(
    open_deployed: Open, requests: SimpleNamespace, schedule: str, stages: tuple[str, ...]
) -> None:
    workspace, config = open_deployed(schedule=schedule)
    counted = asked(requests, workspace, config, stages, 5).histogram
    assert sum(patients_by_class(counted)) >= 5


def everybody(
    requests: SimpleNamespace, workspace: Workspace, config: RunConfig
) -> tuple[int, int]:
    histogram = requests.evaluate(workspace, config, "all", after=5).histogram
    return histogram.total_positives, histogram.total_negatives


@pytest.mark.parametrize("colour", ["grey", "rgb"])
def test_of_all_patients_no_two_sets_differ_by_a_few_either(
    open_deployed: Open, requests: SimpleNamespace, colour: str
) -> None:
    """Greyscale images that a run reads in colour are a problem, and were counted without blocks.

    So the two runs together gave away the only patient who had joined since blocks were dealt.
    """
    workspace, config = open_deployed(OPEN_RULES, 20, weights="random")
    assert everybody(requests, workspace, config) == (10, 10)
    pixels = np.random.default_rng(7).integers(0, 255, (32, 32)).astype(np.uint8)
    folder = workspace.parts[0].settings.folder
    Image.fromarray(pixels).save(folder / "images" / "new.png")
    with (folder / "labels.csv").open("a", encoding="utf-8") as table:
        table.write("P77,new.png,sick\n")
    workspace, config = open_deployed(OPEN_RULES, 20, weights="random", image_colour=colour)
    (part,) = workspace.parts
    assert len(part.admission.cohort.patients()) == 21
    if colour == "grey":
        assert everybody(requests, workspace, config) == (10, 10)
        return
    with pytest.raises(SiteError, match="only greyscale images") as caught:
        everybody(requests, workspace, config)
    assert not any(sign.isdigit() for sign in caught.value.shareable)


def test_of_all_patients_there_are_no_fewer_than_the_rule_says(
    open_deployed: Open, requests: SimpleNamespace
) -> None:
    rules = f"{OPEN_RULES}\nleast-held-out-patients = 30"
    workspace, config = open_deployed(rules, 20)
    with pytest.raises(PolicyError, match=r"least-held-out-patients is 30 \(all: 20\)"):
        everybody(requests, workspace, config)


@pytest.mark.parametrize(("graded", "leaves"), [(3, False), (40, True)])
def test_few_patients_with_a_grade_are_not_counted_by_it(
    open_deployed: Open, requests: SimpleNamespace, graded: int, leaves: bool
) -> None:
    """Of one graded patient the counts were that patient's grade, outcome and score."""
    workspace, config = open_deployed()
    (part,) = workspace.parts
    held_out = part.split(config).validation.patients()
    first = sorted(held_out, key=lambda patient: int(patient[1:]))
    wanted = set(first[:graded]) if graded < 40 else {f"P{n}" for n in range(40)}
    table, toml = (part.settings.folder / name for name in ("labels.csv", "site.toml"))
    header, *rows = table.read_text(encoding="utf-8").splitlines()
    lines = [f"{row},{2 if row.partition(',')[0] in wanted else ''}" for row in rows]
    table.write_text("\n".join([f"{header},grade", *lines, ""]), encoding="utf-8")
    text = toml.read_text(encoding="utf-8")
    toml.write_text(text.replace("[compute]", 'covariate = "grade"\n[compute]'), encoding="utf-8")
    workspace, config = open_deployed()
    assert workspace.covariate_is_grade
    reply = requests.evaluate(workspace, config, "validation", after=5)
    counted = count_on_site(workspace, CountRequest("run-1", "validation", ("run-1",)))
    assert reply.graded == counted.graded
    if leaves:
        assert sum(reply.graded.grades.totals) == len(held_out) >= 5
    else:
        assert reply.graded is None
