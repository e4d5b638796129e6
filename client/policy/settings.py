"""A run's settings against the rules: all that can be judged without the site's data."""

from __future__ import annotations

from client.policy.refusal import Refusal, numbers
from client.policy.rules import Policy
from shared.settings.config import RunConfig
from shared.settings.schedule import trains_body


def refused_settings(policy: Policy, config: RunConfig) -> list[Refusal]:
    """The rules that these settings break, none where a site may take part."""
    return [*_refused_values(policy, config), *_refused_numbers(policy, config)]


def _refused_values(policy: Policy, config: RunConfig) -> list[Refusal]:
    pairs = (
        ("optimizers", policy.optimizers, "optimizer", config.optimizer),
        ("schedules", policy.schedules, "schedule", config.schedule),
        ("batch-norms", policy.batch_norms, "batch-norm", config.batch_norm),
        ("samplings", policy.samplings, "sampling", config.sampling),
        ("augmentations", policy.augmentations, "augmentation", config.augmentation),
    )
    found = [
        Refusal(rule, ", ".join(allowed), f"{setting}={value}")
        for rule, allowed, setting, value in pairs
        if value not in allowed
    ]
    if not policy.unaugmented_statistics and _sends_bare_statistics(config):
        cause = "schedule=dual" if config.schedule == "dual" else "augmentation=none"
        asked = f"batch-norm=average with {cause}"
        found.append(Refusal("unaugmented-statistics", "false", asked))
    return found


def _sends_bare_statistics(config: RunConfig) -> bool:
    bare = config.augmentation == "none" or config.schedule == "dual"
    return trains_body(config) and config.batch_norm == "average" and bare


def _refused_numbers(policy: Policy, config: RunConfig) -> list[Refusal]:
    fraction = config.validation_fraction
    checks = (
        ("least-dropout", policy.least_dropout, config.dropout < policy.least_dropout,
         f"dropout={config.dropout:g}"),
        ("most-folds", policy.most_folds, 0 < policy.most_folds < config.folds,
         f"folds={config.folds}"),
        ("least-validation", policy.least_validation, fraction < policy.least_validation,
         f"validation-fraction={fraction:g}"),
        ("most-validation", policy.most_validation, fraction > policy.most_validation,
         f"validation-fraction={fraction:g}"),
        ("most-image-size", policy.most_image_size,
         0 < policy.most_image_size < config.image_size, f"image-size={config.image_size}"),
    )  # fmt: skip
    return [Refusal(rule, numbers(limit), found) for rule, limit, broken, found in checks if broken]
