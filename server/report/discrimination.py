"""What an AUROC and its confidence interval say, as a clause."""

from __future__ import annotations

from server.report.numbers import interval, share

CHANCE = 0.5
_DIGITS = 3
"""An interval is judged by its limits as they are printed."""


def distinguishes(limits: tuple[float, float] | None) -> bool:
    """Whether the whole interval lies above chance."""
    return limits is not None and round(limits[0], _DIGITS) > CHANCE


def discrimination(
    auroc: float, limits: tuple[float, float] | None, finding: str, *, advice: bool = True
) -> str:
    """What a model's AUROC says of `finding`, after its subject: `detected ... with an AUROC of`.

    With `advice` a result below chance is followed by what to look at.
    """
    if limits is None:
        return (
            f"had an AUROC of {share(auroc, 2)}; there are too few patients for a 95 % CI, so this "
            "says nothing yet"
        )
    value = f"{share(auroc, 2)} (95 % CI {_interval(limits)}"
    if distinguishes(limits):
        return f"detected {finding} with an AUROC of {value})"
    apart = f"patients with {finding} from those without it"
    if round(limits[1], _DIGITS) < CHANCE:
        text = f"ranked {apart.replace(' from ', ' below ')}: its AUROC was {value}), below chance"
        return (
            text if not advice else f"{text}. Check that all sites call the same outcome positive"
        )
    return f"did not distinguish {apart}: its AUROC was {value}; chance is 0.5)"


def _interval(limits: tuple[float, float]) -> str:
    """Two decimals, three where two would hide on which side of chance a limit lies."""
    hides = any(round(limit, 2) == CHANCE for limit in limits)
    return interval(limits, _DIGITS if hides else 2)
