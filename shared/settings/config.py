"""The settings of one run, checked against each other, and what follows from them."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass

from shared.errors import ConfigError
from shared.limits import ImageColour
from shared.model.backbone import Backbone
from shared.model.registry import BACKBONES, backbone_of
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome
from shared.outcome.registry import parse_outcome
from shared.settings.fields import Settings
from shared.settings.setting import Scalar, check_setting, key_of
from shared.settings.stage_values import (
    DEFAULTS,
    StageValues,
    former_of,
    parse_stage_values,
    write_stage_values,
)
from shared.update.registry import check_update
from shared.wire.formats.choice import low_rank

LONGEST_FINDING = 80
"""Characters of the name of what is predicted: it stands in titles and sentences."""


@dataclass(frozen=True)
class RunConfig(Settings):
    """One run's settings.

    Raises ConfigError for a value of the wrong type, out of range, or that contradicts another.
    """

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
        object.__setattr__(self, "outcome", str(parse_outcome(self.outcome)))
        self._require_thawing_backwards()
        self._require_two_branches()
        self._require_stages_to_thaw()
        if self.folds == 1 or (self.fold > 0 and self.fold >= self.folds):
            raise ConfigError(
                f"fold is {self.fold} and folds {self.folds}; to hold out a fold, folds must be "
                "at least 2 and fold less than that; else both are 0."
            )
        if self.rounds + self.probe_rounds == 0 and self.schedule != "logistic":
            raise ConfigError("rounds and probe-rounds are both 0; at least one round is needed.")
        self._require_weights_of_colours()
        self._require_one_combination()
        self._require_maps_to_normalise()
        if self.image_size % self.network.patch:
            raise ConfigError(
                f"image-size is {self.image_size}; {self.backbone} cuts images into patches of "
                f"{self.network.patch} pixels, so it must be a multiple of that."
            )
        if len(self.finding) > LONGEST_FINDING:
            raise ConfigError(
                f"finding is {self.finding!r}; it must have at most {LONGEST_FINDING} characters, "
                "such as viral pneumonia."
            )
        for key, digits in self._digests():
            if digits and not _is_sha256(digits):
                raise ConfigError(
                    f"{key} is '{digits}'; it must be 64 "
                    "lower-case hexadecimal digits, as sha256sum prints them."
                )

    def _digests(self) -> tuple[tuple[str, str], ...]:
        return ("weights-sha256", self.weights_sha256), ("teacher-sha256", self.teacher_sha256)

    def _require_thawing_backwards(self) -> None:
        """ConfigError unless stages thaw from the last to the first, none left out."""
        stages = self.network.stages[-2::-1]
        shares = [self.thaws.get(stage, 1.0) for stage in stages]
        if shares != sorted(shares):
            raise ConfigError(
                f"Stages thaw from the last to the first, so thaw-at ('{self.thaw_at}') must not "
                f"thaw a stage before the one behind it; in order these are {', '.join(stages)}."
            )

    def _require_stages_to_thaw(self) -> None:
        """ConfigError where the schedule thaws stages as it goes, and none may thaw."""
        none = not any(share < 1 for share in self.thaws.values())
        if self.schedule == "adaptive" and self.rounds > 0 and none:
            raise ConfigError(
                f"thaw-at is '{self.thaw_at}', which thaws no stage, and schedule=adaptive trains "
                f"those that it thaws; name one, such as thaw-at={self.network.last_maps}=0, or "
                "set schedule=probe, which trains the head alone."
            )

    def _require_two_branches(self) -> None:
        """ConfigError where schedule=dual lacks branches, rounds for them or an augmentation."""
        if self.schedule != "dual":
            return
        if not self.network.branches:
            having = " or ".join(one.name for one in BACKBONES.values() if one.branches)
            raise ConfigError(
                f"schedule is dual, but {self.backbone} does not have two branches; "
                f"set backbone={having}."
            )
        if self.probe_rounds == 0:
            raise ConfigError(
                "schedule is dual and probe-rounds is 0; the branches train separately in the "
                "probe rounds, so at least one is needed."
            )
        if self.augmentation == "none":
            raise ConfigError(
                "schedule is dual and augmentation is none; the second branch learns from "
                "augmented images, so choose an augmentation."
            )

    def _require_maps_to_normalise(self) -> None:
        """ConfigError where stages train on one image a step, and their maps are single values."""
        network, stage = self.network, self.network.last_maps
        thaws = self.schedule in ("full", "dynamics") or (
            self.schedule in ("progressive", "dual", "adaptive") and self.thaws.get(stage, 1.0) < 1
        )
        trains = self.rounds > 0 and thaws and self.batch_norm != "frozen"
        if trains and self.batch_size == 1 and self.image_size <= network.single_up_to:
            raise ConfigError(
                f"batch-size is 1 and image-size {self.image_size}: {stage}'s feature maps are "
                "then single values, of which BatchNorm takes no statistics; set batch-size to 2 "
                f"or more, image-size to {network.single_up_to + 1} or more, or batch-norm=frozen."
            )

    def _require_weights_of_colours(self) -> None:
        """ConfigError where the images are in colour and the weights know radiographs alone."""
        if self.channels == 3 and self.weights == "xrv":
            imagenet = "weights=imagenet, " if "imagenet" in self.network.published else ""
            raise ConfigError(
                "image-colour is rgb, but the weights xrv were trained on greyscale radiographs; "
                f"set {imagenet}weights=random or the path of a checkpoint, or image-colour=grey."
            )

    def _require_one_combination(self) -> None:
        """ConfigError where a logistic regression cannot be fitted, or not in its only round."""
        if self.schedule == "logistic" and self.predicts != BINARY:
            raise ConfigError(
                "schedule=logistic is for a finding that a patient has or has not; outcome is "
                f"'{self.outcome}'. Choose another schedule."
            )
        once = ("fedavg", "fedmedian", "fedtrimmedavg", "krum")
        if self.schedule == "logistic" and self.strategy not in once:
            raise ConfigError(
                f"strategy is {self.strategy}, which takes a step from the initial head in each "
                "round; with schedule=logistic the sites' heads are combined once, by "
                f"{', '.join(once[:-1])} or {once[-1]}."
            )

    @property
    def network(self) -> Backbone:
        """The backbone's description."""
        return backbone_of(self.backbone, self.channels)

    @property
    def channels(self) -> int:
        """The channels of an image: 1 for greyscale, 3 for colour."""
        return ImageColour(self.image_colour).channels

    @property
    def input_in_words(self) -> str:
        """What a batch of the network's input is, as files of the model say it."""
        side = self.image_size
        order = ", red, green, blue" if self.channels == 3 else ""
        return f"(n, {self.channels}, {side}, {side}) in [-1024, 1024]{order}"

    @property
    def predicts(self) -> Outcome:
        """What `outcome` says."""
        return parse_outcome(self.outcome)

    @property
    def outputs(self) -> int:
        """Logits of the network."""
        return self.predicts.outputs

    @property
    def thaws(self) -> StageValues:
        """The share of the fine-tuning rounds after which each stage thaws; others never do."""
        return parse_stage_values("thaw-at", self.thaw_at, self.network)

    @property
    def stage_rates(self) -> StageValues:
        """The maximum learning rates that `rates` gives, of some stages before the head."""
        return parse_stage_values("rates", self.rates, self.network)

    @property
    def sent_dtype(self) -> str:
        """The dtype of what sites send; what they receive is in `update_dtype`."""
        return low_rank(self.update_rank) if self.update_rank else self.update_dtype

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


def _is_sha256(text: str) -> bool:
    return len(text) == 64 and all(c in "0123456789abcdef" for c in text)
