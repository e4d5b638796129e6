"""The arms' areas under the curve as a forest plot."""

from __future__ import annotations

from collections.abc import Sequence

from server.report.html import Html, figure, table
from server.report.numbers import capitalised, metric, metric_interval
from server.report.plot import Row, forest
from server.results.study import ArmResult, ClassArm


def areas_figure(arms: Sequence[ArmResult | ClassArm]) -> Html:
    """A row an arm; of several classes or labels the mean AUROC."""
    several = isinstance(arms[0], ClassArm)
    head = "mean AUROC" if several else "AUROC"
    area = "mean area under the ROC curve" if several else "area under the ROC curve"
    rows = [Row(one.arm.name, one.auroc.mean, one.auroc_ci95) for one in arms]
    plot = forest(
        rows, f"{head} in held-out patients", 0.5, "areas",
        f"The {area} of each arm with its 95 % CI.",
    )  # fmt: skip
    caption = (
        f"{capitalised(area)} of each arm, mean over the repeats, with its 95 % CI. "
        "The dotted line is chance. Arms with other sites have other patients. Whether the CIs of "
        "two arms overlap does not show whether they differ: see the differences."
    )
    numbers = [(r.label, metric(r.value), metric_interval(r.interval)) for r in rows]
    return figure(plot, caption, table(f"{head} by arm", ("arm", head, "95 % CI"), numbers))
