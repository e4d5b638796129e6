"""What is trained on what, and the arms that are compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shared.settings.config import RunConfig
from shared.settings.overrides import parse_overrides
from shared.settings.parse import parse_run_config


@dataclass(frozen=True)
class Arm:
    """Run settings, and at how many simulated sites; its pictures and steps are those of all."""

    name: str
    settings: tuple[str, ...]
    sites: int = 1


_ALL = Arm("all units", ("schedule=full",))


def _rule(rule: str, *more: str, sites: int = 1) -> Arm:
    name = ", ".join([f"0.9 by {rule}", *more, *([f"{sites} sites"] if sites > 1 else [])])
    own = "schedule=dynamics", f"select={rule}", "freeze-rate=0.9"
    return Arm(name, (*own, *more), sites)


SLIMFIT = (
    _ALL,
    Arm("head alone", ("schedule=probe",)),
    _rule("distance"),
    _rule("random"),
    _rule("distance", "activations=int8"),
    _rule("distance", "activations=int4"),
    _rule("round-robin"),
)
"""Compared with the first: which units train, and what is kept of activations."""
RULES = tuple(_rule(rule, sites=2) for rule in ("random", "coherence", "distance", "round-robin"))
"""Compared with the first; coherence needs two sites."""


@dataclass(frozen=True)
class Task:
    """`each` training pictures a class and `tested` test pictures a class, at this side."""

    pictures: Path
    weights: Path
    side: int
    each: int
    tested: int
    epochs: int
    batch: int
    steps: int
    """Of a round, at all sites together."""
    rate: float
    precision: str
    seed: int

    def rounds(self, classes: int) -> int:
        """As many as `epochs` have; what does not fill a round is left out."""
        return self.epochs * classes * self.each // (self.batch * self.steps)

    def config(self, arm: Arm, names: tuple[str, ...]) -> RunConfig:
        """vit-tiny stands for the network, whose units have the same names."""
        return parse_run_config(
            parse_overrides(
                [
                    "backbone=vit-tiny", "weights=random", "probe-rounds=0",
                    f"outcome=classes: {' | '.join(names)}", f"rounds={self.rounds(len(names))}",
                    f"batch-size={self.batch}", f"precision={self.precision}", f"seed={self.seed}",
                    f"rates=blocks4={self.rate}", "lr-head=0.001", "cutmix-probability=0",
                    *arm.settings,
                ]
            )
        )  # fmt: skip


@dataclass(frozen=True)
class Result:
    """Of an arm: test pictures that are right, processor seconds of training and averaging."""

    correct: list[bool]
    seconds: float
    share: float
    """Of all weights, those that a round trained on average."""
    trained: list[list[str]]
    """The units of each round."""
