"""A plan in words says what the code does."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from client.policy.rules import Policy
from client.policy.words import plan_in_words
from shared.model.registry import backbone_of
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round, total_rounds

STAGES = backbone_of("micro").stages

SHORT = {"rounds": st.integers(0, 8), "probe_rounds": st.integers(1, 4)}


def test_a_whole_plan() -> None:
    words = plan_in_words(RunConfig(schedule="progressive"), Policy())
    assert words[0] == (
        "Trains in 30 rounds of resnet50: rounds 1 to 12 the head alone; rounds 13 to 16 head, "
        "layer4; rounds 17 to 22 head, layer4, layer3; rounds 23 to 30 head, layer4, layer3, "
        "layer2."
    )
    assert "with adamw, 8 images a step, balanced sampling, augmentation recipe" in words[1]
    assert "as int8, their BatchNorm means and variances" in words[2]
    assert "exactly, by outcome, in 514 bins" in words[2]
    assert "No fold is held out; 20% of the patients are for validation" in words[4]
    assert words[-1] == "Differs from the default: schedule=progressive (default adaptive)."
    assert plan_in_words(RunConfig(), Policy())[-1] == "Differs from the default: nothing."


@given(
    st.fixed_dictionaries(SHORT),
    st.sampled_from(["progressive", "full", "probe"]),
)
def test_every_round_is_told_with_what_trains_in_it(counts: dict[str, int], schedule: str) -> None:
    config = RunConfig(schedule=schedule, **counts)  # type: ignore[arg-type]
    sentence = plan_in_words(config, Policy())[0]
    found = re.findall(r"rounds? (\d+)(?: to (\d+))? ([a-z0-9, ]+)", sentence.split(":", 1)[1])
    by_round = {
        number: {"head"} if stages == "the head alone" else set(stages.split(", "))
        for first, last, stages in found
        for number in range(int(first), int(last or first) + 1)
    }
    assert by_round == {
        number: set(plan_round(config, number).trainable)
        for number in range(1, total_rounds(config) + 1)
    }
    assert all(stages <= set(STAGES) for stages in by_round.values())


def test_what_a_coordinator_may_choose_is_told() -> None:
    config = RunConfig(schedule="dynamics", select="random", round_budget=0.25)
    assert plan_in_words(config, Policy())[0] == (
        "Trains in 30 rounds of resnet50: rounds 1 to 10 the head alone; rounds 11 to 30 the head "
        "and at most 4 of the 16 units from layer1.0 to layer4.2, which the coordinator chooses "
        "for each round (select=random) and which with the head hold at most 25 % of the weights."
    )


def test_a_run_that_may_end_early_is_told() -> None:
    config = RunConfig(schedule="adaptive", thaw_at="layer4=0,layer3=0.5")
    assert plan_in_words(config, Policy())[0] == (
        "Trains in at most 30 rounds of resnet50: rounds 1 to 10 the head alone; rounds 11 to 30 "
        "head, layer4, layer3. After every 3 rounds of fine-tuning (patience) the coordinator "
        "decides by the validation patients of all sites whether the run goes on, or ends 3 rounds "
        "later."
    )


def test_a_signal_to_noise_is_told_where_it_is_sent() -> None:
    def mentioned(**settings: str) -> bool:
        words = plan_in_words(RunConfig(**settings), Policy())  # type: ignore[arg-type]
        (leaves,) = [one for one in words if one.startswith("Leaves this site after each round")]
        return (
            "how far the gradients of each trained unit agreed from step to step (signal-to-noise)"
            in leaves
        )

    assert mentioned(schedule="dynamics")
    assert mentioned()
    assert not mentioned(schedule="progressive")
    assert not mentioned(schedule="dynamics", optimizer="sgd")


def test_the_finding_is_told_as_the_coordinators_word() -> None:
    words = plan_in_words(RunConfig(finding="viral\npneumonia"), Policy())
    assert words[0] == (
        "Predicts, as the coordinator calls it: viral\\x0apneumonia. Which patients have it, your "
        "site.toml says."
    )
    assert words[-1] == "Differs from the default: nothing."


def test_a_logistic_regression_in_words() -> None:
    config = RunConfig(schedule="logistic", logistic_c=0.5)
    words = plan_in_words(config, Policy(schedules=("logistic",)))
    assert words[0].startswith("Trains nothing: in one round the head of resnet50 becomes a")
    assert "all training images at once" in words[1]
    assert "logistic-c is 0.5), both classes weighted alike" in words[1]
    assert "a sum of the network's features of all training images" in words[1]
    assert "BatchNorm" not in words[2]
    assert "REFUSED" not in "".join(words)
    assert "schedules is progressive, full, probe" in plan_in_words(config, Policy())[-1]


def test_branches_and_a_teacher_in_words() -> None:
    digest = "c1" * 32
    config = RunConfig(
        backbone="tiny", schedule="dual", probe_rounds=2, rounds=1, teacher="/at/the/coordinator",
        teacher_sha256=digest,
    )  # fmt: skip
    words = plan_in_words(config, Policy())
    branches = (
        "branches2, branches1, stem, each image together with its augmented version; round 3 head"
    )
    assert f"rounds 1 to 2 head, {branches}" in words[0]
    assert f"SHA-256 {digest}" in words[2]
    assert "[compute] teacher" in words[2]
    assert not any("/at/the/coordinator" in sentence for sentence in words)
    assert any("REFUSED" in one and "schedule=dual" in one for one in words)


def test_what_differs_and_what_is_refused_is_told() -> None:
    config = RunConfig(
        folds=5, fold=2, seed=9, optimizer="sgd", batch_norm="local", activations="recompute"
    )
    words = "\n".join(plan_in_words(config, Policy(least_difference=1)))
    assert "optimizer=sgd (default adamw), batch-norm=local (default average)" in words
    assert "activations=recompute (default exact)" in words
    assert "folds=5 (default 0)" in words
    assert "seed" not in words.rpartition("Differs")[2]
    assert "all 5 runs, of any seed, are covered" in words
    assert "BatchNorm statistics stay here" in words
    assert "this site's own BatchNorm statistics" in words
    assert "least-difference is 1" in words
    assert (
        "REFUSED all the same: your site.toml does not allow it, as optimizers is adamw, adamw8bit"
        in words
    )
