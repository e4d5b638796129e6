"""Which keys of a network travel when parts of it are trained."""

from __future__ import annotations

from collections.abc import Collection

from torch import nn

from shared.model.backbone import Part
from shared.model.network import Network


def check_batch_norm(batch_norm: str) -> None:
    """ValueError for another value than "average", "local" and "frozen"."""
    if batch_norm not in ("average", "local", "frozen"):
        raise ValueError(f"batch_norm is '{batch_norm}'; it must be average, local or frozen.")


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


def exchanged_keys(model: Network, parts: Collection[Part], batch_norm: str) -> tuple[str, ...]:
    """The keys that travel when these parts are trained, in state-dict order.

    All parameters of their units, and with `batch_norm` "average" BatchNorm's running statistics;
    with "local" (FedBN, Li et al., arXiv:2102.07623) and "frozen" no statistics. ValueError for
    an unknown part or another `batch_norm`.
    """
    check_batch_norm(batch_norm)
    travelling = {name for name, _ in model.named_parameters()}
    if batch_norm == "average":
        travelling |= batch_norm_statistics(model)
    keys = model.backbone.keys_of(model.state_dict(), parts)
    return tuple(key for key in keys if key in travelling)
