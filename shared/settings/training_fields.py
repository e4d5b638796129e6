"""The list of the settings that say what a run trains, and how: network, schedule, optimisation."""

from __future__ import annotations

from dataclasses import dataclass

from shared.limits import ImageColour, ImageFit
from shared.model.published import NAMED_WEIGHTS
from shared.model.registry import BACKBONES
from shared.settings.setting import setting
from shared.settings.stage_values import DEFAULTS


@dataclass(frozen=True)
class TrainingSettings:
    """By default the recipe of Goedicke-Fritz et al., arXiv:2507.12269, but for the schedule."""

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
    image_colour: str = setting(
        "grey",
        "channels read from an image: grey, one, and colour images are set aside; or rgb, "
        "red, green and blue",
        choices=tuple(map(str, ImageColour)),
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
        0.5, "fraction of the loss that is the distance to the teacher", minimum=0.0, maximum=1.0
    )
    teacher_temperature: float = setting(
        2.0, "temperature that divides both logits in that distance", minimum=0.1, maximum=100.0
    )

    # schedule
    schedule: str = setting(
        "adaptive",
        "adaptive: after the probe thaw the stages of thaw-at together, and end the run early when "
        "it gains nothing more; progressive: thaw them one by one, each after its fraction of the "
        "rounds; full: train all stages from the start; probe: train the head alone; dual, for "
        "backbone=tiny: train two branches in the probe rounds, one on the images and one on "
        "augmented versions, then as progressive; dynamics: the coordinator chooses the units of "
        "each round by the signals of earlier rounds; logistic: the baseline, in one round and "
        "without training, the mean of the sites' logistic regressions on the base's features",
        choices=("progressive", "full", "probe", "dual", "dynamics", "adaptive", "logistic"),
    )
    select: str = setting(
        "distance",
        "schedule=dynamics: which units train with the head. distance: those whose weights "
        "changed most when they last trained (SlimFit); coherence: those on whose updates the "
        "sites agreed most; round-robin: those that waited longest; random: drawn from the seed",
        choices=("distance", "coherence", "round-robin", "random"),
    )
    freeze_rate: float = setting(
        0.8,
        "schedule=dynamics: fraction of the units between the first one and the head that stay "
        "frozen in a round",
        minimum=0.0,
        maximum=0.99,
    )
    round_budget: float = setting(
        1.0,
        "schedule=dynamics: largest fraction of the network's weights, in bytes, that may train in "
        "a round, and so be sent by a site; the head always trains",
        minimum=0.0,
        maximum=1.0,
    )
    patience: int = setting(
        3,
        "schedule=adaptive: rounds in a stretch, which the coordinator compares with the one "
        "before; after a stretch that gained nothing, the run ends with this many more rounds",
        minimum=2,
        maximum=1000,
    )
    rounds: int = setting(
        20, "fine-tuning rounds; with schedule=adaptive the maximum", minimum=0, maximum=100_000
    )
    probe_rounds: int = setting(
        10,
        "rounds before them that train the head alone (schedule=dual: head and branches)",
        minimum=0,
        maximum=100_000,
    )
    local_epochs: int = setting(1, "passes over a site's images per round", minimum=1, maximum=1000)
    thaw_at: str = setting(
        DEFAULTS["thaw-at"],
        "fractions of the fine-tuning rounds after which the stages before the head thaw, the last "
        "first; or by name (STAGE=FRACTION,STAGE=FRACTION): a stage that is not named stays "
        "frozen; schedule=adaptive takes from it only which stages thaw",
    )

    # the model at the end
    end: str = setting(
        "guarded",
        "which model a run ends with. last: that of the last round; average: the mean of the last "
        "rounds' models (SWA); guarded: a point on the way from the probe's last model to that "
        "mean (WiSE-FT), which the sites' validation patients choose",
        choices=("last", "average", "guarded"),
    )
    average_share: float = setting(
        0.25,
        "fraction of the fine-tuning rounds, the last ones, whose models are averaged, with "
        "end=average and end=guarded",
        minimum=0.0,
        maximum=1.0,
    )

    # optimisation at the sites
    optimizer: str = setting(
        "adamw",
        "adamw; adamw8bit: the same with its moments in 8 bits, which take a quarter of the "
        "memory and need fedthaw[bitsandbytes] at every site; or plain sgd",
        choices=("adamw", "adamw8bit", "sgd"),
    )
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
        "with schedule=logistic: the inverse of the L2 penalty, scikit-learn's C; smaller "
        "penalises more",
        minimum=1e-6,
        maximum=1e6,
    )
    batch_size: int = setting(8, "images per step", minimum=1, maximum=100_000)
    sampling: str = setting(
        "balanced",
        "balanced draws all classes equally often, shuffle takes each image once",
        choices=("balanced", "shuffle"),
    )
    augmentation: str = setting(
        "recipe",
        "recipe: rotation up to 5 degrees, horizontal flip, resized crop, blur, random masking; "
        "affine: rotation up to 10 degrees, zoom, shear, shift and contrast, no flip; shift: "
        "horizontal flip and shift by up to 1/16 of the side; crop: the same by up to 1/8, as is "
        "usual for small photographs; none: images as they are",
        choices=("recipe", "affine", "shift", "crop", "none"),
    )
    cutmix_probability: float = setting(
        0.5, "fraction of the fine-tuning steps with CutMix", minimum=0.0, maximum=1.0
    )
    cutmix_alpha: float = setting(1.0, "CutMix's Beta(alpha, alpha)", minimum=1e-3, maximum=100.0)
    batch_norm: str = setting(
        "average",
        "BatchNorm statistics of thawed stages: averaged, kept local (FedBN), or frozen",
        choices=("average", "local", "frozen"),
    )
