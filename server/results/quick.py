"""What is said of a run of --quick, wherever its results are shown."""

from __future__ import annotations

from shared.settings.config import RunConfig
from shared.settings.schedule import total_rounds


def quick_look(config: RunConfig) -> str:
    """That it is a quick look, and at which settings."""
    weights = "untrained" if config.weights == "random" else "pretrained"
    return (
        f"A quick look, not a result: {config.backbone} from {weights} weights, images of "
        f"{config.image_size} pixels, {total_rounds(config)} rounds. It shows that these folders "
        "can be trained on, not how well."
    )
