"""The list of a run's settings: name, default, help text and allowed values of each."""

from __future__ import annotations

from dataclasses import dataclass

from shared.limits import ImageFit
from shared.model.published import NAMED_WEIGHTS
from shared.model.registry import BACKBONES
from shared.settings.setting import setting
from shared.settings.stage_values import DEFAULTS
from shared.wire.formats.choice import MOST_RANKS, NUMBER_FORMATS, STEPS_PER_RMS


@dataclass(frozen=True)
class Settings:
    """One run's settings; by default the recipe of Goedicke-Fritz et al., arXiv:2507.12269."""

    # model
    backbone: str = setting("resnet50", "network", choices=tuple(BACKBONES))
    weights: str = setting("xrv", f"{', '.join(NAMED_WEIGHTS)}, or a path to .safetensors / .pt")
    weights_sha256: str = setting("", "SHA-256 that the weights file must have; empty: any")
    image_size: int = setting(512, "side of the square input, pixels", minimum=32, maximum=4096)
    image_fit: str = setting(
        "pad",
        "how a radiograph becomes square: pad with black, crop the centre, or stretch",
        choices=tuple(map(str, ImageFit)),
    )
    dropout: float = setting(0.1, "dropout before the head", minimum=0.0, maximum=0.9)

    # a teacher
    teacher: str = setting(
        "",
        "folder of a finished run whose model teaches this one at each site, on its own images; "
        "empty: none",
    )
    teacher_sha256: str = setting(
        "", "SHA-256 of its model.safetensors; empty: taken from that folder"
    )
    teacher_share: float = setting(
        0.5, "share of the loss that is the distance to the teacher", minimum=0.0, maximum=1.0
    )
    teacher_temperature: float = setting(
        2.0, "what both logits are divided by in that distance", minimum=0.1, maximum=100.0
    )

    # schedule
    schedule: str = setting(
        "progressive",
        "progressive: thaw stage by stage; full: train all stages from the start; probe: train the "
        "head alone; dual, for backbone=tiny: train two branches in the probe rounds, one on the "
        "images and one on augmented versions, then thaw stage by stage; dynamics: the coordinator "
        "chooses the units of each round by what training has shown so far; logistic: the "
        "baseline, in one round and without training, the mean of the sites' logistic regressions "
        "on the base's features",
        choices=("progressive", "full", "probe", "dual", "dynamics", "logistic"),
    )
    select: str = setting(
        "distance",
        "schedule=dynamics: which units train beside the head. distance: those whose weights "
        "changed most when they last trained (SlimFit); coherence: those on whose updates the "
        "sites agreed most; round-robin: those that have waited longest; random: drawn by the seed",
        choices=("distance", "coherence", "round-robin", "random"),
    )
    freeze_rate: float = setting(
        0.8,
        "schedule=dynamics: share of the units between the first one and the head that stay frozen "
        "in a round",
        minimum=0.0,
        maximum=0.99,
    )
    round_budget: float = setting(
        1.0,
        "schedule=dynamics: largest share of the network's weights, in bytes, that may train in a "
        "round, and so be sent by a site; the head always trains",
        minimum=0.0,
        maximum=1.0,
    )
    rounds: int = setting(20, "fine-tuning rounds", minimum=0, maximum=100_000)
    probe_rounds: int = setting(
        10,
        "rounds of the head alone before them (schedule=dual: of its branches)",
        minimum=0,
        maximum=100_000,
    )
    local_epochs: int = setting(1, "passes over a site's images a round", minimum=1, maximum=1000)
    thaw_at: str = setting(
        DEFAULTS["thaw-at"],
        "shares of the fine-tuning rounds after which the stages before the head thaw, the last "
        "first; or by name (STAGE=SHARE,STAGE=SHARE): a stage that is not named stays frozen",
    )

    # the model at the end
    end: str = setting(
        "last",
        "which model a run ends with. last: that of the last round; average: the mean of the last "
        "rounds' models (SWA); guarded: a point on the way from the probe's last model to that "
        "mean (WiSE-FT), which the sites' validation patients choose",
        choices=("last", "average", "guarded"),
    )
    average_share: float = setting(
        0.25,
        "share of the fine-tuning rounds, the last ones, whose models are averaged, with "
        "end=average and end=guarded",
        minimum=0.0,
        maximum=1.0,
    )

    # optimisation at the sites
    optimizer: str = setting("adamw", "adamw or plain sgd", choices=("adamw", "sgd"))
    lr_probe: float = setting(
        1e-3, "learning rate of the head in probe rounds", minimum=0.0, maximum=10.0
    )
    lr_head: float = setting(1e-3, "maximum learning rate of the head", minimum=0.0, maximum=10.0)
    rates: str = setting(
        DEFAULTS["rates"],
        "maximum learning rates of the stages before the head, the last first; or by name "
        "(STAGE=RATE,STAGE=RATE): a stage without one uses that of the nearest later stage, "
        "towards the head",
    )
    rate_policy: str = setting(
        "one-cycle",
        "one-cycle over all fine-tuning rounds, or constant at the maximum",
        choices=("one-cycle", "constant"),
    )
    weight_decay: float = setting(1e-4, "weight decay of the backbone", minimum=0.0, maximum=1.0)
    weight_decay_head: float = setting(1e-5, "weight decay of the head", minimum=0.0, maximum=1.0)
    logistic_c: float = setting(
        1.0,
        "with schedule=logistic: the inverse of the L2 penalty, scikit-learn's C; smaller is "
        "stricter",
        minimum=1e-6,
        maximum=1e6,
    )
    batch_size: int = setting(8, "images a step", minimum=1, maximum=100_000)
    sampling: str = setting(
        "balanced",
        "balanced draws both classes equally often, shuffle takes each image once",
        choices=("balanced", "shuffle"),
    )
    augmentation: str = setting(
        "recipe",
        "recipe: rotation up to 5 degrees, horizontal flip, resized crop, blur, random masking; "
        "affine: rotation up to 10 degrees, zoom, shear, shift and contrast, no flip; shift: "
        "horizontal flip and shift; none: images as they are",
        choices=("recipe", "affine", "shift", "none"),
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
        "learning rate of fedadam, fedyogi and fedavgm; 0: 0.01, for fedavgm 1.0",
        minimum=0.0,
        maximum=10.0,
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
    malicious_sites: int = setting(
        0, "krum: number of malicious sites to tolerate", minimum=0, maximum=10_000
    )
    update_screen: str = setting(
        "refuse",
        "an update that no honest site sends: refuse it, clip it to what is plausible, or off",
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
        "int8",
        "dtype of transmitted weights: int8 makes messages 5.7 times smaller than float32, float16 "
        "halves them",
        choices=NUMBER_FORMATS,
    )
    update_steps: float = setting(
        STEPS_PER_RMS,
        "int8: steps a root mean square of a channel's changes; fewer are coarser and fewer bytes",
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
        "stage before it is frozen, and caches the frozen stages' activations of them, where that "
        "is faster; off augments each draw again",
        choices=("auto", "off"),
    )
    feature_cache_views: int = setting(
        8, "augmented views of an image, with feature-cache=auto", minimum=1, maximum=10_000
    )
    activations: str = setting(
        "exact",
        "what a training step keeps for its backward pass: exact; int8 or int4, activations in so "
        "many bits, a quarter and a seventh of the memory; recompute, the inputs of the units "
        "alone, a third of it, slower but the same model as exact",
        choices=("exact", "int8", "int4", "recompute"),
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
    outcome: str = setting(
        "binary",
        "what the sites' tables say of a patient: binary (a finding that is there or not), or with "
        "the names of the classes or labels in order, as in classes: none | mild | severe, "
        "ordinal: none | mild | severe, or labels: effusion | cardiomegaly",
    )
    finding: str = setting(
        "",
        "what is predicted, in a few words, such as viral pneumonia: for the sites' owners and the "
        "page; empty: in a simulation as the sites' site.toml names it",
    )
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
    quick: bool = setting(False, "simulation only: a quick look, which its results say they are")
