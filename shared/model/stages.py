"""Which stage of the network each state-dict key belongs to, and which keys travel."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from torch import Tensor, nn

from shared.schedule import STAGES

STAGE_MODULES: Mapping[str, tuple[str, ...]] = {
    "stem": ("conv1", "bn1"),
    "layer1": ("layer1",),
    "layer2": ("layer2",),
    "layer3": ("layer3",),
    "layer4": ("layer4",),
    "head": ("fc",),
}
"""The top-level modules of torchvision's ResNet that hold a stage's state."""

_STAGE_OF_MODULE = {module: stage for stage in STAGES for module in STAGE_MODULES[stage]}


def known_stages(stages: Iterable[str]) -> frozenset[str]:
    """The stages as a set; ValueError names those that do not exist."""
    chosen = frozenset(stages)
    unknown = sorted(chosen.difference(STAGES))
    if unknown:
        raise ValueError(f"Unknown stages {unknown}; known are {list(STAGES)}.")
    return chosen


def check_batch_norm(batch_norm: str) -> None:
    """ValueError for another value than "average", "local" and "frozen"."""
    if batch_norm not in ("average", "local", "frozen"):
        raise ValueError(f"batch_norm is '{batch_norm}'; it must be average, local or frozen.")


def stage_of(key: str) -> str:
    """The stage of a state-dict key: `layer4.0.bn1.weight` -> `layer4`.

    ValueError for a key that no stage holds.
    """
    module, dot, _ = key.partition(".")
    if not dot or module not in _STAGE_OF_MODULE:
        raise ValueError(f"'{key}' is no state-dict key of a stage of the network.")
    return _STAGE_OF_MODULE[module]


def keys_of(state: Mapping[str, Tensor], stages: Collection[str]) -> tuple[str, ...]:
    """The keys of a state dict that belong to the stages, in state-dict order.

    ValueError for an unknown stage or key.
    """
    chosen = known_stages(stages)
    return tuple(key for key in state if stage_of(key) in chosen)


def batch_norm_statistics(model: nn.Module) -> frozenset[str]:
    """The keys of BatchNorm's running means and variances.

    `num_batches_tracked` is not among them: with a fixed momentum it has no effect.
    """
    return frozenset(
        f"{name}.{statistic}"
        for name, module in model.named_modules()
        if isinstance(module, nn.BatchNorm2d)
        for statistic in ("running_mean", "running_var")
    )


def exchanged_keys(model: nn.Module, stages: Collection[str], batch_norm: str) -> tuple[str, ...]:
    """The keys that travel when these stages are trained, in state-dict order.

    All parameters of the stages, and with `batch_norm` "average" BatchNorm's running statistics;
    with "local" (FedBN, Li et al., arXiv:2102.07623) and "frozen" no statistics. ValueError for
    an unknown stage or another `batch_norm`.
    """
    check_batch_norm(batch_norm)
    travelling = {name for name, _ in model.named_parameters()}
    if batch_norm == "average":
        travelling |= batch_norm_statistics(model)
    return tuple(key for key in keys_of(model.state_dict(), stages) if key in travelling)
