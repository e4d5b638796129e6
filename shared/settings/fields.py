"""The list of a run's settings: name, default, help text and allowed values of each."""

from __future__ import annotations

from dataclasses import dataclass

from shared.settings.setting import setting
from shared.settings.training_fields import TrainingSettings
from shared.wire.formats.choice import DEFAULT_STEPS, MOST_RANKS, NUMBER_FORMATS


@dataclass(frozen=True)
class Settings(TrainingSettings):
    """One run's settings: those of its training, then all others."""

    # aggregation
    strategy: str = setting(
        "fedavg",
        "aggregation strategy (Flower's)",
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
        0.0,
        "learning rate of fedadam, fedyogi and fedavgm; 0: 0.01, or 1.0 with fedavgm",
        minimum=0.0,
        maximum=10.0,
    )
    server_momentum: float = setting(
        0.9, "fedavgm's momentum, fedadam's and fedyogi's beta 1", minimum=0.0, maximum=0.999
    )
    trim_fraction: float = setting(
        0.2,
        "fedtrimmedavg: fraction cut off at each end (0.2 cuts nothing below 5 sites)",
        minimum=0.0,
        maximum=0.49,
    )
    malicious_sites: int = setting(
        0, "krum: number of malicious sites to tolerate", minimum=0, maximum=10_000
    )
    update_screen: str = setting(
        "refuse",
        "what to do with an update that no honest site could send: refuse it, clip it to what is "
        "plausible, or off",
        choices=("refuse", "clip", "off"),
    )
    update_screen_factor: float = setting(
        10.0,
        "an update larger than this many times the median of the other sites' is implausible "
        "(needs three sites); BatchNorm statistics: ten times that",
        minimum=2.0,
        maximum=1e6,
    )
    max_weight_share: float = setting(
        0.9,
        "largest weight of one site in the average, however many images it has; 1: no limit",
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
        "int8",
        "dtype of transmitted weights: int8 makes messages 13 times smaller than float32, float16 "
        "halves them",
        choices=NUMBER_FORMATS,
    )
    update_steps: float = setting(
        DEFAULT_STEPS,
        "int8: steps per root mean square of a channel's changes; fewer are coarser and take fewer "
        "bytes",
        minimum=0.5,
        maximum=32.0,
    )
    update_rank: int = setting(
        0,
        "rank of the matrices that sites send in place of large int8 tensors (PowerSGD); 0: none",
        minimum=0,
        maximum=MOST_RANKS,
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
        "stage before it is frozen, and caches the frozen stages' activations of them where that "
        "is faster; off augments each draw afresh",
        choices=("auto", "off"),
    )
    feature_cache_views: int = setting(
        8, "augmented views of an image, with feature-cache=auto", minimum=1, maximum=10_000
    )
    activations: str = setting(
        "exact",
        "what a training step keeps for its backward pass. exact: all; int8 or int4: activations "
        "in 8 or 4 bits, a quarter or a seventh of the memory; recompute: only the inputs of the "
        "units, a third of the memory, slower but the same model as exact",
        choices=("exact", "int8", "int4", "recompute"),
    )

    # federation
    min_sites: int = setting(2, "sites a round needs", minimum=1, maximum=100_000)
    round_timeout: int = setting(
        3600,
        "seconds that a run waits for enough sites, and a round for replies",
        minimum=1,
        maximum=10**7,
    )
    reconnect_wait: int = setting(
        120, "seconds to wait for a site whose connection is lost", minimum=0, maximum=10**7
    )
    retries: int = setting(
        2, "repetitions of a round that had too few sites", minimum=0, maximum=1000
    )

    # data
    outcome: str = setting(
        "binary",
        "what is predicted for a patient: binary (a finding is present or not), or "
        "the names of the classes or labels in order, as in classes: none | mild | severe, "
        "ordinal: none | mild | severe, or labels: effusion | cardiomegaly",
    )
    finding: str = setting(
        "",
        "what is predicted, in a few words, such as viral pneumonia: for the sites' owners and the "
        "report; empty: in a simulation as the sites' site.toml names it",
    )
    validation_fraction: float = setting(
        0.2, "fraction of each site's patients kept for validation", minimum=0.01, maximum=0.5
    )
    folds: int = setting(
        0,
        "folds that each site's patients are split into, one of them held out for testing; 0: none",
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
        False, "write TensorBoard logs into the run's folder; needs fedthaw[tensorboard]"
    )
    sites: str = setting(
        "", "simulation only: site folders, separated by the path separator (':' on Linux)"
    )
    for_others: bool = setting(
        False,
        "simulation only: hide and round results as a coordinator's run does, so the folder can be "
        "shared",
    )
    pooled: bool = setting(False, "simulation only: train on all sites' data as if in one place")
    quick: bool = setting(False, "simulation only: a quick look; its results are marked as such")
