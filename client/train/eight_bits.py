"""AdamW with its moments in 8 bits, by bitsandbytes, where a site has it (arXiv:2110.02861)."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

from torch.optim import Optimizer

from shared.errors import SiteError
from shared.settings.config import RunConfig

LIBRARY, OLDEST = "bitsandbytes", "0.50.2"
"""The package, and the first version that it was tried with."""


def require_optimizer(config: RunConfig) -> None:
    """SiteError where a run asks for moments in 8 bits and the library for them is not there."""
    if config.optimizer != "adamw8bit":
        return
    try:
        found = version(LIBRARY)
    except PackageNotFoundError:
        found = "none"
    if found == "none" or _is_older(found):
        needs = f"the run asks for optimizer=adamw8bit, which needs {LIBRARY} {OLDEST} or later"
        raise SiteError(
            f"{needs[0].upper()}{needs[1:]}; on this machine there is {found}. Install it where "
            "FedThaw is installed: pip install 'fedthaw[bitsandbytes]' (in a container see "
            "docs/containers.md, Extras).",
            shareable=f"{needs}, and there is {found}",
        )


def _is_older(found: str) -> bool:
    from packaging.version import Version  # which bitsandbytes brings

    return Version(found) < Version(OLDEST)


def eight_bit_adamw(groups: Sequence[Mapping[str, Any]]) -> Optimizer:
    """AdamW over these groups; tensors of fewer than 4,096 weights keep moments in float32."""
    with _fetching_nothing():
        from bitsandbytes.optim.adamw import AdamW8bit
    return cast("Optimizer", AdamW8bit(list(groups)))  # type: ignore[no-untyped-call]


@contextmanager
def _fetching_nothing() -> Iterator[None]:
    """On some processors its import fetches code from the Hugging Face Hub, where `kernels` is
    installed: for layers that are not used here. A site installs nothing as it runs.
    """
    known = sys.modules.get("kernels")
    sys.modules["kernels"] = None  # type: ignore[assignment]
    logger = logging.getLogger(LIBRARY)
    level = logger.level
    logger.setLevel(logging.ERROR)  # it would say that these are not there
    try:
        yield
    finally:
        logger.setLevel(level)
        del sys.modules["kernels"]
        if known is not None:
            sys.modules["kernels"] = known
