"""A run's plan in plain words, for the owner who is to approve it."""

from __future__ import annotations

from collections.abc import Iterator

from client.policy.rules import Policy
from client.policy.settings import refused_settings
from shared.metrics.histogram import SCORE_BINS
from shared.model.backbone import Part
from shared.outcome.binary import BINARY
from shared.plain import shown
from shared.settings.config import RunConfig
from shared.settings.dynamics import candidates, most_units
from shared.settings.ending import SHARES, stays_near_probe
from shared.settings.run_plan import approved_settings
from shared.settings.schedule import (
    decides_as_it_goes,
    may_end_early,
    measures_noise,
    plan_round,
    statistics_stay_at_sites,
    total_rounds,
    trains_body,
)
from shared.settings.setting import value_in_words
from shared.update.registry import in_words


def plan_in_words(config: RunConfig, policy: Policy) -> list[str]:
    """Sentences: what trains, what leaves the site and how often, what differs from the default.

    Fold and seed are those of any run of the plan: an approval covers all of them.
    """
    sentences = [
        *_predicts(config), _trains(config), _how(config), *_teacher(config),
        _leaves_each_round(config), _leaves_at_the_end(config), _patients(config, policy),
        _average(config), _differs(config),
    ]  # fmt: skip
    for refusal in refused_settings(policy, config):
        sentences.append(
            f"REFUSED all the same: your site.toml does not allow it, as {refusal.shareable()}."
        )
    return sentences


def _predicts(config: RunConfig) -> Iterator[str]:
    outcome = config.predicts
    if outcome != BINARY:
        kind = {
            "classes": "which of these classes a patient is of",
            "ordinal": "which of these classes, from lowest to highest, a patient is of",
            "labels": "which of these findings a patient has",
        }[outcome.kind]
        yield f"Predicts {kind}: {', '.join(outcome.names)}. Your site.toml must declare the same."
    if config.finding:
        yield (
            f"Predicts, as the coordinator calls it: {shown(config.finding)}. Which patients have "
            "it, your site.toml says."
        )


def _trains(config: RunConfig) -> str:
    if config.schedule == "logistic":
        return (
            f"Trains nothing: in one round the head of {config.backbone} becomes a logistic "
            "regression on what the pretrained network makes of the images."
        )
    early = may_end_early(config)
    parts = [
        f"{_rounds(first, last)} "
        + (_chosen(config) if decides_as_it_goes(config, first) else _named(stages, config))
        + (_paired(config) if last <= config.probe_rounds else "")
        for first, last, stages in _phases(config)
    ]
    most = "at most " * early + f"{total_rounds(config)} rounds"
    return f"Trains in {most} of {config.backbone}: {'; '.join(parts)}." + _may_end(config) * early


def _may_end(config: RunConfig) -> str:
    """What the coordinator decides where it also decides how long."""
    return (
        f" After every {config.patience} rounds of fine-tuning (patience) the coordinator decides "
        "by the validation patients of all sites whether the run goes on, or ends "
        f"{config.patience} rounds later."
    )


def _phases(config: RunConfig) -> Iterator[tuple[int, int, tuple[Part, ...]]]:
    """First round, last round and trainable stages of each stretch of rounds alike."""
    first = 1
    total = total_rounds(config)
    for number in range(1, total + 1):
        stages = plan_round(config, number).trainable
        if number == total or plan_round(config, number + 1).trainable != stages:
            yield first, number, stages
            first = number + 1


def _chosen(config: RunConfig) -> str:
    """What a site can hold the coordinator to in rounds that it decides as the run goes."""
    units = candidates(config)
    most = (
        f" and which with the head hold at most {100 * config.round_budget:g} % of the weights"
        if config.round_budget < 1
        else ""
    )
    return (
        f"the head and at most {most_units(config)} of the {len(units)} units from {units[0]} to "
        f"{units[-1]}, which the coordinator chooses for each round (select={config.select}){most}"
    )


def _rounds(first: int, last: int) -> str:
    return f"round {first}" if first == last else f"rounds {first} to {last}"


def _named(stages: tuple[Part, ...], config: RunConfig) -> str:
    if stages == (config.network.head,):
        return "the head alone"
    return ", ".join(reversed(stages))


def _paired(config: RunConfig) -> str:
    return ", each image together with its augmented version" if config.schedule == "dual" else ""


def _how(config: RunConfig) -> str:
    if config.schedule == "logistic":
        alike = ", both classes weighted alike" if config.sampling == "balanced" else ""
        return (
            f"The fit takes all training images at once, as they are, at {config.image_size} px"
            f"{_in_colour(config)}, with an L2 penalty (logistic-c is {config.logistic_c:g}){alike}"
            ". What leaves is a sum of the network's features of all training images, each "
            "weighted by how far the fit misses the image's outcome."
        )
    return (
        f"Each round takes {config.local_epochs} pass{'es' if config.local_epochs > 1 else ''} "
        f"over the training images at {config.image_size} px{_in_colour(config)} with "
        f"{config.optimizer}"
        f"{' (needs bitsandbytes on this machine)' * (config.optimizer == 'adamw8bit')}, "
        f"{config.batch_size} images a step, {config.sampling} sampling, augmentation "
        f"{config.augmentation}, dropout {config.dropout:g}."
    )


def _in_colour(config: RunConfig) -> str:
    return " in colour" if config.channels == 3 else ""


def _teacher(config: RunConfig) -> Iterator[str]:
    if config.teacher:
        yield (
            "A finished run's model teaches it on this site's images; its model.safetensors has "
            f"SHA-256 {config.teacher_sha256 or '(not said)'}. You name your copy of that run in "
            "site.toml ([compute] teacher). It stays here, and so does what it says of an image."
        )


def _leaves_each_round(config: RunConfig) -> str:
    statistics = {
        "average": ", their BatchNorm means and variances",
        "local": " (BatchNorm statistics stay here)",
        "frozen": "",
    }[config.batch_norm if trains_body(config) else "frozen"]
    noise = (
        ", how far the gradients of each trained unit agreed from step to step (signal-to-noise)"
        if measures_noise(config)
        else ""
    )
    return (
        "Leaves this site after each round, and again where a round is repeated: the changes of "
        f"the trained weights {in_words(config)}{statistics}; exact numbers of training "
        f"images, patients and steps, the mean loss{noise}; the validation patients counted "
        f"exactly, by outcome, {_counted(config)}."
    )


def _counted(config: RunConfig) -> str:
    """How finely patients are counted."""
    if config.predicts == BINARY:
        return f"in {SCORE_BINS} bins of their score"
    if not config.predicts.exclusive:
        return (
            f"for each label, in {SCORE_BINS} bins of its score, and for each two labels by what "
            "they have of both, with sums of the scores' bins and of their products"
        )
    return (
        f"in {SCORE_BINS} bins of each of their {config.outputs} scores, and by the class that is "
        "predicted, with sums of products of two scores' bins"
    )


def _leaves_at_the_end(config: RunConfig) -> str:
    sets = "validation patients, and those of the test fold" if config.folds else (
        "validation patients"
    )  # fmt: skip
    local = (
        " Scores are under this site's own BatchNorm statistics."
        if statistics_stay_at_sites(config)
        else ""
    )
    candidates = (
        f"the validation patients, counted so under {len(SHARES)} candidates for the final model; "
        if stays_near_probe(config)
        else ""
    )
    # A grade stands beside a finding alone.
    grade = ", and by clinical grade where site.toml names one" * (config.predicts == BINARY)
    return (
        f"Leaves it after the last round: {candidates}the {sets}, counted so under the final "
        f"model{grade}; for comparisons with other runs, sums over them.{local}"
    )


def _patients(config: RunConfig, policy: Policy) -> str:
    share = f"{config.validation_fraction:.0%} of the others are for validation"
    folds = (
        f"The patients are dealt into {config.folds} folds; a run holds one of them out, and all "
        f"{config.folds} runs, of any seed, are covered; {share}."
        if config.folds
        else f"No fold is held out; {share.replace('the others', 'the patients')}."
    )
    if policy.least_difference > 1:
        return (
            f"{folds} Any two sets of patients that are answered for are the same or differ by "
            f"{policy.least_difference} patients or more."
        )
    return f"{folds} Two sets of patients may differ by a single one (least-difference is 1)."


def _average(config: RunConfig) -> str:
    return (
        f"The coordinator averages by {config.strategy} where {config.min_sites} sites or more "
        "take part."
    )


def _differs(config: RunConfig) -> str:
    default = approved_settings(RunConfig())
    own = approved_settings(config)
    differing = [
        f"{key}={value_in_words(own[key])} (default {value_in_words(default[key])})"
        for key in own
        if own[key] != default[key] and key != "finding"
    ]
    return f"Differs from the default: {', '.join(differing) or 'nothing'}."
