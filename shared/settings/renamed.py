"""`recompute`, a setting of earlier versions that is a value of `activations` today."""

from __future__ import annotations

from collections.abc import Mapping

from shared.errors import ConfigError
from shared.settings.setting import Scalar

RECOMPUTE, ACTIVATIONS = "recompute", "activations"


def with_activations(flat: Mapping[str, object]) -> dict[str, object]:
    """A run's settings in which `recompute=true` is `activations=recompute`.

    ConfigError for another value than true and false, and where the two contradict each other.
    """
    new = {key: value for key, value in flat.items() if key != RECOMPUTE}
    if check_recompute(flat.get(RECOMPUTE, False)):
        activations = new.setdefault(ACTIVATIONS, RECOMPUTE)
        if activations != RECOMPUTE:
            raise ConfigError(
                f"activations is '{activations}' and recompute is true; they set the same: leave "
                "out recompute."
            )
    return new


def check_recompute(value: object) -> bool:
    """The value of `recompute`; ConfigError where it is neither true nor false."""
    if not isinstance(value, bool):
        raise ConfigError(f"recompute is {value!r}; it must be true or false.")
    return value


def without_replaced(
    before: Mapping[str, Scalar], given: Mapping[str, Scalar]
) -> dict[str, Scalar]:
    """`before` without what `given` replaces under the other one of the two names."""
    if not {RECOMPUTE, ACTIVATIONS} & given.keys():
        return dict(before)
    return {key: value for key, value in before.items() if key not in (RECOMPUTE, ACTIVATIONS)}
