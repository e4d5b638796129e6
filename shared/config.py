"""The run configuration: flat kebab-case keys parsed once into a frozen dataclass.

Flower carries a run's configuration as a flat mapping of strings to scalars. `parse_run_config`
is the only place that reads such a mapping; everything behind it sees a `RunConfig`.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.errors import ConfigError
from shared.model.backbone import Backbone
from shared.model.published import NAMED_WEIGHTS
from shared.model.registry import BACKBONES, backbone_of, former_settings
from shared.setting import Scalar, check_setting, coerced, key_of, setting
from shared.stage_values import (
    DEFAULTS,
    StageValues,
    former_of,
    parse_stage_values,
    with_former,
    write_stage_values,
)
from shared.update.registry import check_update
from shared.wire.formats.choice import NUMBER_FORMATS


@dataclass(frozen=True)
class RunConfig:
    """One run's settings; the defaults are the recipe of Goedicke-Fritz et al., arXiv:2507.12269.

    Raises ConfigError for a value of the wrong type or out of range.
    """

    # model
    backbone: str = setting("resnet50", "network", choices=tuple(BACKBONES))
    weights: str = setting("xrv", f"{', '.join(NAMED_WEIGHTS)}, or a path to .safetensors / .pt")
    weights_sha256: str = setting("", "SHA-256 that the weights file must have; empty: any")
    image_size: int = setting(512, "side of the square input, pixels", minimum=32, maximum=4096)
    image_fit: str = setting(
        "pad",
        "how a radiograph becomes square: pad with black, crop the centre, or stretch",
        choices=("pad", "crop", "stretch"),
    )
    dropout: float = setting(0.1, "dropout before the head", minimum=0.0, maximum=0.9)

    # schedule
    schedule: str = setting(
        "progressive",
        "progressive thaws stage by stage, full trains all, probe the head alone",
        choices=("progressive", "full", "probe"),
    )
    rounds: int = setting(20, "fine-tuning rounds", minimum=0, maximum=100_000)
    probe_rounds: int = setting(
        10, "rounds of the head alone before them", minimum=0, maximum=100_000
    )
    local_epochs: int = setting(1, "passes over a site's images a round", minimum=1, maximum=1000)
    thaw_at: str = setting(
        DEFAULTS["thaw-at"],
        "shares of the fine-tuning rounds after which the stages before the head thaw, the last "
        "first; or by name (STAGE=SHARE,STAGE=SHARE): a stage that is not named stays frozen",
    )

    # optimisation at the sites
    optimizer: str = setting("adamw", "adamw or plain sgd", choices=("adamw", "sgd"))
    lr_probe: float = setting(1e-3, "rate of the head in probe rounds", minimum=0.0, maximum=10.0)
    lr_head: float = setting(1e-3, "maximum rate of the head", minimum=0.0, maximum=10.0)
    rates: str = setting(
        DEFAULTS["rates"],
        "maximum rates of the stages before the head, the last first; or by name "
        "(STAGE=RATE,STAGE=RATE); a stage that has none takes that of the next one that has",
    )
    rate_policy: str = setting(
        "one-cycle",
        "one-cycle over all fine-tuning rounds, or constant at the maximum",
        choices=("one-cycle", "constant"),
    )
    weight_decay: float = setting(1e-4, "weight decay of the backbone", minimum=0.0, maximum=1.0)
    weight_decay_head: float = setting(1e-5, "weight decay of the head", minimum=0.0, maximum=1.0)
    batch_size: int = setting(8, "images a step", minimum=1, maximum=100_000)
    sampling: str = setting(
        "balanced",
        "balanced draws both classes equally often, shuffle takes each image once",
        choices=("balanced", "shuffle"),
    )
    augmentation: str = setting(
        "recipe", "training images: recipe or none", choices=("recipe", "none")
    )
    cutmix_probability: float = setting(
        0.5, "share of the fine-tuning steps with CutMix", minimum=0.0, maximum=1.0
    )
    cutmix_alpha: float = setting(1.0, "CutMix's Beta(alpha, alpha)", minimum=1e-3, maximum=100.0)
    batch_norm: str = setting(
        "average",
        "BatchNorm statistics of thawed stages: averaged, kept local (FedBN), or frozen",
        choices=("average", "local", "frozen"),
    )

    # aggregation
    strategy: str = setting(
        "fedavg",
        "Flower strategy",
        choices=(
            "fedavg",
            "fedprox",
            "fedadam",
            "fedyogi",
            "fedavgm",
            "fedmedian",
            "fedtrimmedavg",
            "krum",
        ),
    )
    proximal_mu: float = setting(
        0.0, "FedProx's weight of the proximal term", minimum=0.0, maximum=1e3
    )
    server_learning_rate: float = setting(
        0.0, "fedadam, fedyogi, fedavgm; 0 takes 0.01, 0.01, 1.0", minimum=0.0, maximum=10.0
    )
    server_momentum: float = setting(
        0.9, "fedavgm's momentum, fedadam's and fedyogi's beta 1", minimum=0.0, maximum=0.999
    )
    trim_fraction: float = setting(
        0.2,
        "fedtrimmedavg: share cut off at each end (0.2 cuts nothing below 5 sites)",
        minimum=0.0,
        maximum=0.49,
    )
    malicious_sites: int = setting(0, "krum: sites it must withstand", minimum=0, maximum=10_000)
    update_screen: str = setting(
        "refuse",
        "an update that no honest site sends: refuse it, clip it to what is plausible, or off",
        choices=("refuse", "clip", "off"),
    )
    update_screen_factor: float = setting(
        10.0,
        "how many times the other sites' median an update may be, from three sites on; BatchNorm "
        "statistics may be ten times that",
        minimum=2.0,
        maximum=1e6,
    )
    max_weight_share: float = setting(
        0.9,
        "largest share of one site in the average, whatever number of images it has; 1: no limit",
        minimum=0.01,
        maximum=1.0,
    )
    update_clip: float = setting(
        0.0,
        "largest L2 norm of the change of all weights that a site sends in a round, BatchNorm "
        "statistics excepted; 0: no limit",
        minimum=0.0,
        maximum=1e6,
    )
    update_dtype: str = setting(
        "float32",
        "dtype of transmitted weights: float16 halves the messages, int8 makes them "
        "5.7 times smaller",
        choices=NUMBER_FORMATS,
    )

    # speed at the sites
    precision: str = setting(
        "auto",
        "compute dtype: auto is bfloat16 or float16 where the device is built "
        "for it, else float32; weights and evaluation stay in float32",
        choices=("auto", "float32", "bfloat16", "float16"),
    )
    feature_cache: str = setting(
        "auto",
        "auto draws each image from a fixed set of augmented views while all but the head and the "
        "stage before it is frozen, and caches the frozen stages' activations of them, where that "
        "is faster; off augments each draw again",
        choices=("auto", "off"),
    )
    feature_cache_views: int = setting(
        8, "augmented views of an image, with feature-cache=auto", minimum=1, maximum=10_000
    )
    recompute: bool = setting(
        False, "recompute activations in the backward pass: less memory, slower steps"
    )

    # federation
    min_sites: int = setting(2, "sites a round needs", minimum=1, maximum=100_000)
    round_timeout: int = setting(3600, "seconds until a round closes", minimum=1, maximum=10**7)
    reconnect_wait: int = setting(
        120, "seconds to wait for a site whose connection is lost", minimum=0, maximum=10**7
    )
    retries: int = setting(
        2, "repetitions of a round that had too few sites", minimum=0, maximum=1000
    )

    # data
    validation_fraction: float = setting(
        0.2, "share of each site's patients kept for validation", minimum=0.01, maximum=0.5
    )
    folds: int = setting(
        0,
        "folds that each site's patients are dealt into, one of them held out for testing; 0: none",
        minimum=0,
        maximum=100,
    )
    fold: int = setting(0, "which fold is held out, from 0", minimum=0, maximum=99)
    seed: int = setting(
        0, "seed of splits, initial head, order and augmentation", minimum=0, maximum=2**31 - 1
    )

    # this machine
    threads: int = setting(
        0, "CPU threads of a site's training; 0: all cores", minimum=0, maximum=1024
    )
    out: str = setting("", "the run's folder; empty: runs/<run id>")
    resume: bool = setting(False, "continue the run in that folder")
    tensorboard: bool = setting(
        False, "write TensorBoard's logs into the run's folder; needs fedthaw[tensorboard]"
    )
    sites: str = setting(
        "", "simulation only: site folders, separated by the path separator (':' on Linux)"
    )
    for_others: bool = setting(
        False,
        "simulation only: hide and round in the results what a coordinator's run does, so that the "
        "folder may be handed on",
    )
    pooled: bool = setting(False, "simulation only: train on all sites' data as if in one place")

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            check_setting(item, getattr(self, item.name))
        check_update(self)
        for name in ("thaw_at", "rates"):
            key = key_of(name)
            values = parse_stage_values(key, getattr(self, name), backbone_of(self.backbone))
            # One way to write the same, so that a continued run can be compared with its beginning.
            text = write_stage_values(key, values, backbone_of(self.backbone))
            object.__setattr__(self, name, text)
        self._require_thawing_backwards()
        if self.folds == 1 or 0 < self.folds <= self.fold:
            raise ConfigError(
                f"fold is {self.fold} and folds {self.folds}; folds must be 0 or at least 2, and "
                "fold less than that."
            )
        if self.rounds + self.probe_rounds == 0:
            raise ConfigError("rounds and probe-rounds are both 0; at least one round is needed.")
        self._require_maps_to_normalise()
        if self.weights_sha256 and not _is_sha256(self.weights_sha256):
            raise ConfigError(
                f"weights-sha256 is '{self.weights_sha256}'; it must be 64 "
                "lower-case hexadecimal digits, as sha256sum prints them."
            )

    def _require_thawing_backwards(self) -> None:
        """ConfigError unless stages thaw from the last to the first, none left out."""
        stages = self.network.stages[-2::-1]
        shares = [self.thaws.get(stage, 1.0) for stage in stages]
        if shares != sorted(shares):
            raise ConfigError(
                f"Stages thaw from the last to the first, so thaw-at ('{self.thaw_at}') must not "
                f"thaw a stage before the one behind it; in order these are {', '.join(stages)}."
            )

    def _require_maps_to_normalise(self) -> None:
        """ConfigError where stages train on one image a step, and their maps are single values."""
        network, stage = self.network, self.network.last_maps
        thaws = self.schedule == "full" or (
            self.schedule == "progressive" and self.thaws.get(stage, 1.0) < 1
        )
        trains = self.rounds > 0 and thaws and self.batch_norm != "frozen"
        if trains and self.batch_size == 1 and self.image_size <= network.single_up_to:
            raise ConfigError(
                f"batch-size is 1 and image-size {self.image_size}: {stage}'s feature maps are "
                "then single values, of which BatchNorm takes no statistics; set batch-size to 2 "
                f"or more, image-size to {network.single_up_to + 1} or more, or batch-norm=frozen."
            )

    @property
    def network(self) -> Backbone:
        """The backbone's description."""
        return backbone_of(self.backbone)

    @property
    def thaws(self) -> StageValues:
        """The share of the fine-tuning rounds after which each stage thaws; others never do."""
        return parse_stage_values("thaw-at", self.thaw_at, self.network)

    @property
    def stage_rates(self) -> StageValues:
        """The maximum learning rates that `rates` gives, of some stages before the head."""
        return parse_stage_values("rates", self.rates, self.network)

    @property
    def site_folders(self) -> tuple[str, ...]:
        """A simulation's site folders; none where the sites are elsewhere."""
        return tuple(folder for folder in self.sites.split(os.pathsep) if folder)

    @property
    def simulated_sites(self) -> int:
        """How many sites a simulation has, one where all data is pooled; 0 when deployed."""
        return min(len(self.site_folders), 1) if self.pooled else len(self.site_folders)

    def to_flat(self) -> dict[str, Scalar]:
        """The mapping that Flower carries and config.json keeps.

        Settings of earlier versions are in it where the backbone had them.
        """
        flat = {key_of(f.name): getattr(self, f.name) for f in dataclasses.fields(self)}
        former = [former_of(key, flat[key], self.network) for key in DEFAULTS]
        return {**flat, **{key: value for one in former for key, value in one.items()}}


def parse_run_config(flat: Mapping[str, object]) -> RunConfig:
    """Parse a flat mapping of kebab-case keys; keys that are left out take their defaults.

    Settings of earlier versions (`former_settings`) are taken too. Raises ConfigError for an
    unknown key, a value of the wrong type or out of range.
    """
    known = {key_of(f.name): f for f in dataclasses.fields(RunConfig)}
    values: dict[str, Any] = {}
    for key, value in with_former(flat, _backbone_in(flat)).items():
        if key not in known:
            raise unknown_setting(key)
        values[known[key].name] = coerced(known[key], value)
    return RunConfig(**values)


def _backbone_in(flat: Mapping[str, object]) -> Backbone:
    """That of these settings; the default's where it is missing, or wrong and refused later."""
    name = flat.get("backbone")
    return BACKBONES.get(name if isinstance(name, str) else "", backbone_of(RunConfig.backbone))


def unknown_setting(key: str) -> ConfigError:
    """The error for a key that is no setting, with the one that may have been meant."""
    known = [*(key_of(f.name) for f in dataclasses.fields(RunConfig)), *former_settings()]
    close = difflib.get_close_matches(key.replace("_", "-"), known, n=1)
    meant = f"; did you mean '{close[0]}'?" if close else "."
    return ConfigError(f"Unknown setting '{key}'{meant}")


def _is_sha256(text: str) -> bool:
    return len(text) == 64 and all(c in "0123456789abcdef" for c in text)
