"""What a site's process keeps ready between messages: images, base, one model."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from client.data.admission import require_trainable, shareably
from client.data.dataset import Sample
from client.declared_outcome import require_outcome
from client.features.keep import Decisions
from client.model.base import forget_bases, site_base
from client.model.device import choose_device
from client.model.teacher import Teacher, require_own_teacher, site_teacher
from client.own_scores import ScoresWanted, scores_wanted
from client.part import Part, TrainingSamples, open_part
from client.settings import SiteSettings, load_site
from client.site_folders import require_own_weights, site_folders
from client.train.eight_bits import require_optimizer
from shared.errors import SiteError
from shared.metrics.grades import is_grade
from shared.model.network import Network, build_network
from shared.model.pretrained import Base
from shared.outcome.outcome import Outcome
from shared.settings.config import RunConfig

POOLED_NAME = "pooled"


@dataclass(frozen=True, eq=False)
class Workspace:
    """One site, or several whose data is treated as if in one place."""

    name: str
    parts: tuple[Part, ...]
    base: Base
    device: torch.device
    deployed: bool = False
    """A coordinator elsewhere asks: all rules of the owner bind, not only those in site.toml."""
    scores_wanted: ScoresWanted | None = None
    """Where the owner's own command wants the patients' scores; never a coordinator elsewhere."""
    samples_by_config: dict[RunConfig, TrainingSamples] = field(default_factory=dict, repr=False)
    """Kept by `training_samples`."""
    feature_decisions: Decisions = field(default_factory=dict, repr=False)
    """Kept by `prepare_features`."""

    @property
    def outcome(self) -> Outcome:
        """What is predicted; the same for all owners."""
        return self.parts[0].settings.encoding.outcome

    @property
    def min_cell(self) -> int:
        """The strictest of the owners' limits below which counts are not shown."""
        return max(part.settings.min_cell for part in self.parts)

    @property
    def runs_folders(self) -> frozenset[Path]:
        """Where its owners keep what is remembered of runs, a folder for each run."""
        return frozenset(part.settings.cache / "rounds" for part in self.parts)

    @property
    def covariate_is_grade(self) -> bool:
        """Whether patients may be counted by it; decided by all admitted ones, not by a split's."""
        return is_grade([v for p in self.parts for v in p.admission.cohort.covariates().values()])

    def state_folder(self, run: str) -> Path:
        """Where this site keeps what it remembers of a run; pooled ones in the first's cache."""
        return self.parts[0].settings.cache / "rounds" / run / self.name

    def data_digest(self) -> str:
        """SHA-256 of all admitted images, their patients and outcomes, in whichever order."""
        lines = sorted(
            f"{part.settings.name}\0{r.digest}\0{r.patient}\0{r.label}\n"
            for part in self.parts
            for r in part.admission.cohort.radiographs
        )
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()

    def all_samples(self) -> tuple[Sample, ...]:
        """Every admitted image; of blocks that are not whole, none."""
        return tuple(sample for p in self.parts for sample in p.samples(p.usable()))


def open_workspace(
    node_config: Mapping[str, object], config: RunConfig, *, refresh: bool = False
) -> Workspace:
    """The workspace of this node; prepared once for the same settings, and again with `refresh`.

    Deployed, the node's own configuration names its site folder (`site`). In a simulation the
    node's partition picks one of the folders in the run's `sites`, or takes all with `pooled`.
    Where it names the base too (`weights`), site.toml's own is left aside. `keep` is the folder of
    a deployed site for what must outlast its cache: the blocks that its patients are dealt into.
    """
    weights = node_config.get("weights")
    folders = site_folders(node_config, config)
    scores = scores_wanted(node_config)
    wanted = (config, weights if isinstance(weights, str) else None, scores)
    keep = node_config.get("keep")
    if not refresh and folders in _kept and _kept[folders][0] == wanted:
        return _kept[folders][1]
    _kept.pop(folders, None)
    own = load_site(folders[0])
    deployed = bool(node_config.get("deployed"))
    require_own_weights(node_config, own.weights, config.weights)
    require_own_teacher(config, own.teacher, deployed=deployed)
    require_optimizer(config)
    workspace = _open(
        folders,
        *wanted,
        deployed=deployed,
        keep=Path(keep) if isinstance(keep, str) else None,
    )
    if not any(part.admission.report.problems for part in workspace.parts):
        # Else not kept: what the owner fixes is read with the next message.
        _kept[folders] = (wanted, workspace)
    return workspace


_Wanted = tuple[RunConfig, str | None, ScoresWanted | None]
_kept: dict[tuple[Path, ...], tuple[_Wanted, Workspace]] = {}
"""The last workspace of each node of this process, with what it was opened for."""


def forget() -> None:
    """Let go of what this process keeps of its sites; the next message reads it again."""
    _kept.clear()
    _shared_model.cache_clear()
    forget_bases()


def _open(
    folders: tuple[Path, ...],
    config: RunConfig,
    weights: str | None,
    scores: ScoresWanted | None,
    *,
    deployed: bool,
    keep: Path | None,
) -> Workspace:
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    # Float32 means float32, or evaluation would differ between GPUs and CPUs.
    torch.backends.cudnn.allow_tf32 = False
    settings = [load_site(folder) for folder in folders]
    for one in settings:
        require_outcome(one, config)
    torch.set_num_threads(_threads(config, settings))
    _require_distinct_names([one.name for one in settings])
    # Before the images, which may take an hour: these are known at once.
    device = choose_device(settings[0])
    # A run from nothing needs no file: the one that site.toml names is of other runs.
    own = None if config.weights == "random" else settings[0].weights
    base = site_base(config, weights or own)
    return Workspace(
        name=POOLED_NAME if config.pooled else settings[0].name,
        parts=tuple(open_part(one, config, deployed=deployed, keep=keep) for one in settings),
        base=base,
        device=device,
        deployed=deployed,
        scores_wanted=scores,
    )


def _threads(config: RunConfig, settings: list[SiteSettings]) -> int:
    """As many as the run asks for, and no more than the owners let it have."""
    limits = [one.policy.most_threads for one in settings if one.policy.most_threads]
    return min([config.threads or os.cpu_count() or 1, *limits])


def _require_distinct_names(names: list[str]) -> None:
    """Pooled patients are distinguished by their site's name."""
    for name in names:
        if names.count(name) > 1:
            raise SiteError(
                f"Two sites are called '{name}'; rename one of them in its site.toml ([site] name)."
            )


def training_samples(workspace: Workspace, config: RunConfig) -> TrainingSamples:
    """Split by patient; pooled data keeps each site's own split, so arms compare like with like.

    Raises SiteError where the cohort cannot be trained on.
    """
    if config not in workspace.samples_by_config:
        workspace.samples_by_config[config] = _split(workspace, config)
    return workspace.samples_by_config[config]


def teacher_of(workspace: Workspace, config: RunConfig) -> Teacher | None:
    """The model that teaches in this run, None where there is none; raises as `site_teacher`."""
    own = workspace.parts[0].settings.teacher
    return site_teacher(config, own, workspace.device, deployed=workspace.deployed)


def _split(workspace: Workspace, config: RunConfig) -> TrainingSamples:
    parts: list[TrainingSamples] = []
    for part in workspace.parts:
        with shareably(part.admission.report):
            require_trainable(part.admission)
            split = part.split(config)
        parts.append(part.samples_of(split))
    return TrainingSamples(
        train=tuple(sample for one in parts for sample in one.train),
        validation=tuple(sample for one in parts for sample in one.validation),
        test=tuple(sample for one in parts for sample in one.test),
    )


def network_of(workspace: Workspace, config: RunConfig) -> Network:
    """The one network of this process, whatever weights it holds."""
    return shared_model(
        config.backbone, config.dropout, workspace.device, config.outputs, config.channels
    )


def shared_model(
    backbone: str, dropout: float, device: torch.device, outputs: int = 1, channels: int = 1
) -> Network:
    """The one network of this process; each message loads its weights into it."""
    return _shared_model(backbone, dropout, device, outputs, channels)


@functools.lru_cache(maxsize=2)
def _shared_model(
    backbone: str, dropout: float, device: torch.device, outputs: int, channels: int
) -> Network:
    model = build_network(backbone, dropout, outputs=outputs, channels=channels)
    model.to(device)
    return model
