"""The rules of [policy] in site.toml that say what a run may do at this site."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.limits import MIN_CELL
from shared.settings.config import RunConfig


def choices_of(setting: str) -> tuple[str, ...]:
    """What a run setting (`batch_norm`) may be."""
    fields = {one.name: one for one in dataclasses.fields(RunConfig)}
    choices: tuple[str, ...] = fields[setting].metadata["choices"]
    return choices


def _rule(default: Any, kind: str, of: str = "") -> Any:
    """A rule with the kind of value that site.toml must give; `of` is the run setting it lists."""
    return field(default=default, metadata={"kind": kind, "of": of})


@dataclass(frozen=True)
class Policy:
    """Rules with safe defaults; a run of the default settings keeps to them.

    A value of 0 means no limit where the name begins with `most`, and for hours.
    """

    least_training_patients: int = _rule(10, "whole")
    least_held_out_patients: int = _rule(MIN_CELL, "whole")
    """Of the validation patients, and of the test fold where it holds anybody."""
    least_difference: int = _rule(MIN_CELL, "whole")
    """Patients that any two answered sets differ by, if they differ; 1 switches the rule off."""

    # What a round's update may be made of. Plain SGD at a small rate adds up to one gradient of
    # all patients however many steps it takes; AdamW divides each step by its own size.
    optimizers: tuple[str, ...] = _rule(("adamw", "adamw8bit"), "choices", "optimizer")
    # A logistic regression is, too: its weights are a sum over all patients' features.
    schedules: tuple[str, ...] = _rule(
        tuple(one for one in choices_of("schedule") if one != "logistic"), "choices", "schedule"
    )
    batch_norms: tuple[str, ...] = _rule(choices_of("batch_norm"), "choices", "batch_norm")
    samplings: tuple[str, ...] = _rule(choices_of("sampling"), "choices", "sampling")
    augmentations: tuple[str, ...] = _rule(choices_of("augmentation"), "choices", "augmentation")
    unaugmented_statistics: bool = _rule(False, "flag")
    """Whether BatchNorm means may leave that were taken of images as they are: these are sums of
    the network's activations of them, and enough rounds give enough equations to solve for each."""
    least_dropout: float = _rule(0.0, "share")
    least_steps: int = _rule(2, "whole")
    """Optimiser steps of a round."""
    largest_batch: float = _rule(0.6, "share")
    """Share of the training images in a step."""

    most_folds: int = _rule(20, "count")
    least_validation: float = _rule(0.1, "share")
    """Of `validation-fraction`."""
    most_validation: float = _rule(0.5, "share")
    external_evaluation: bool = _rule(False, "flag")
    """Whether a coordinator may have all patients evaluated under a model of its choice."""

    runs_per_day: int = _rule(250, "count")
    rounds_per_day: int = _rule(10_000, "count")
    queries_per_day: int = _rule(5_000, "count")
    """Evaluations, counts and comparisons."""
    runs_in_all: int = _rule(2_000, "count")
    rounds_in_all: int = _rule(60_000, "count")
    queries_in_all: int = _rule(20_000, "count")

    most_image_size: int = _rule(1024, "count")
    most_threads: int = _rule(0, "count")
    most_memory: float = _rule(0.0, "gigabytes")
    hours_per_day: float = _rule(0.0, "hours")
    """Of work; what a run waits for does not count."""
    hours_per_run: float = _rule(0.0, "hours")

    explicit: frozenset[str] = frozenset()
    """Rules that site.toml itself gives, by their keys; these bind in a simulation too."""

    def binds(self, rule: str, *, deployed: bool) -> bool:
        """Whether breaking this rule refuses a run, or (in a simulation) is only reported."""
        return deployed or rule in self.explicit


def policy_keys() -> dict[str, str]:
    """Each rule's key in site.toml and the kind of its value."""
    return {_key(one.name): one.metadata["kind"] for one in _rules()}


def allowed_values(key: str) -> tuple[str, ...]:
    """What a rule that lists values of a run setting may list."""
    (found,) = (one for one in _rules() if _key(one.name) == key)
    return choices_of(found.metadata["of"])


def parse_policy(table: Mapping[str, Any]) -> Policy:
    """The rules of a checked [policy] section; keys of other settings in it are passed over."""
    values: dict[str, Any] = {}
    for one in _rules():
        if (key := _key(one.name)) not in table:
            continue
        value = table[key]
        kind = one.metadata["kind"]
        is_real = kind in ("share", "hours", "gigabytes")
        values[one.name] = tuple(value) if kind == "choices" else float(value) if is_real else value
    explicit = frozenset(_key(name) for name in values)
    return Policy(**values, explicit=explicit)


def _rules() -> list[dataclasses.Field[Any]]:
    return [one for one in dataclasses.fields(Policy) if "kind" in one.metadata]


def _key(name: str) -> str:
    return name.replace("_", "-")
