"""What is said of a run or a study of --quick, wherever its results are shown."""

from __future__ import annotations

from server.results.plan import StudyPlan
from shared.settings.config import RunConfig
from shared.settings.schedule import may_end_early, total_rounds, trains_body


def quick_look(config: RunConfig) -> str:
    """The sentence that a run is a quick look, and at which settings."""
    weights = "untrained" if config.weights == "random" else "pretrained"
    most = "at most " * may_end_early(config)
    head = "" if trains_body(config) else " of the head alone"
    return (
        f"A quick look, not a result: {config.backbone} from {weights} weights, images of "
        f"{config.image_size} pixels, {most}{total_rounds(config)} rounds{head}. It shows that "
        "these folders can be trained on, not how well."
    )


def quick_study(plan: StudyPlan) -> str:
    """The sentence that a study is a quick look."""
    repeats = "1 repeat" if plan.repeats == 1 else f"{plan.repeats} repeats"
    return (
        f"A quick look, not a result: small images, few rounds, {repeats} of {plan.folds} folds. "
        "It shows that these arms can be trained on these folders, not which of them is better."
    )
