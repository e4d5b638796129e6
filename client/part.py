"""One site folder of a workspace: its settings, its admitted patients, and its splits."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from client.data.admission import Admission, admit
from client.data.blocks import split_blocks
from client.data.cache import ImageCache
from client.data.cohort import Cohort
from client.data.dataset import Sample
from client.data.dealt import Dealing, deal
from client.data.split import Folds, Split, split_patients
from client.features.store import FeatureStore
from client.settings import SiteSettings
from shared.run.events import SiteBusy, SiteNote, StepDone, emit, has_listeners
from shared.settings.config import RunConfig

log = logging.getLogger("fedthaw.site")


@dataclass(frozen=True, eq=False)
class Part:
    """One site folder: its settings, its admitted cohort and the cache of its images."""

    settings: SiteSettings
    admission: Admission
    cache: ImageCache
    features: FeatureStore
    dealing: Dealing | None = None
    """The blocks of patients that sets are made of; None where each patient may be one alone."""

    def usable(self) -> Cohort:
        """The patients that runs may use."""
        if self.dealing is None:
            return self.admission.cohort
        return self.dealing.cohort.subset(frozenset().union(*self.dealing.blocks))

    def split(self, config: RunConfig) -> Split:
        """Training, validation and test patients of a run; raises as the splits do."""
        if self.dealing is not None:
            return _split_blocks(self.dealing, config)
        folds = Folds(config.folds, config.fold)
        fraction, seed = config.validation_fraction, config.seed
        return split_patients(self.admission.cohort, fraction, seed, folds)

    def deployed_split(self, config: RunConfig) -> Split:
        """The same under all rules of its owner, as if this were no simulation."""
        size = self.settings.policy.least_difference
        if self.dealing is not None or size <= 1:
            return self.split(config)
        return _split_blocks(deal(self.admission.cohort, size, None), config)

    def samples_of(self, split: Split) -> TrainingSamples:
        """The images of a split."""
        return TrainingSamples(*map(self.samples, (split.train, split.validation, split.test)))

    def run_folder(self, run: str) -> Path:
        """Where this owner's patients' scores under a run lie."""
        return self.settings.cache / "rounds" / run / self.settings.name

    def samples(self, cohort: Cohort) -> tuple[Sample, ...]:
        """The images of a cohort of this site."""
        return tuple(Sample(r, cohort.site, self.cache) for r in cohort.radiographs)


def _split_blocks(dealing: Dealing, config: RunConfig) -> Split:
    folds = Folds(config.folds, config.fold)
    fraction, seed = config.validation_fraction, config.seed
    return split_blocks(dealing.cohort, dealing.blocks, fraction, seed, folds)


@dataclass(frozen=True)
class TrainingSamples:
    """The images of training, validation and test patients."""

    train: tuple[Sample, ...]
    validation: tuple[Sample, ...]
    test: tuple[Sample, ...] = ()

    def patients(self) -> int:
        """How many patients the training images come from."""
        return len({sample.patient for sample in self.train})


def open_part(
    settings: SiteSettings, config: RunConfig, *, deployed: bool, keep: Path | None
) -> Part:
    """Read a site's folder; `keep` is where a deployed one keeps its blocks of patients."""
    emit(SiteBusy(settings.name, "reading images", 0))
    admission = admit(
        settings, config.image_size, config.image_fit, lambda *_: emit(StepDone(settings.name)),
        channels=config.channels,
    )  # fmt: skip
    dealing = _dealt(settings, admission, deployed=deployed, keep=keep)
    for sentence in (*admission.report.warnings, *(dealing.notes if dealing else ())):
        tell_owner(settings.name, sentence)
    features = FeatureStore(settings.cache / "features", settings.features_limit)
    features.tidy()
    return Part(
        settings,
        admission,
        ImageCache(settings.cache, config.image_size, config.image_fit, config.channels),
        features,
        dealing,
    )


def _dealt(
    settings: SiteSettings, admission: Admission, *, deployed: bool, keep: Path | None
) -> Dealing | None:
    """The blocks that the owner's rule asks for; in a simulation only where site.toml gives it."""
    policy = settings.policy
    binds = policy.binds("least-difference", deployed=deployed) and policy.least_difference > 1
    if not binds or admission.report.problems:
        return None
    return deal(admission.cohort, policy.least_difference, keep)


def tell_owner(site: str, sentence: str) -> None:
    """Show a sentence to the site's owner: on the terminal of this process, else in its log."""
    if has_listeners():
        emit(SiteNote(site, sentence))
    else:
        log.warning("%s: %s", site, sentence)
