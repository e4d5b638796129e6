"""How to read the page: the words, and what is left out for privacy."""

from __future__ import annotations

from collections.abc import Sequence

from server.report.data import Report
from server.report.html import Html, element, joined, paragraph, section
from shared.limits import MIN_CELL
from shared.outcome.binary import BINARY

WORDS = (
    ("AUROC", "the probability that a patient with the finding has a higher score than one "
     "without; 0.5 is chance, 1 is perfect. Where its 95 % CI includes 0.5, this page says that "
     "the model did not distinguish the two: it may be no better than chance, or the patients "
     "too few to show that it is"),
    ("95 % CI", "confidence interval: the range compatible with the data; 95 % of such intervals "
     "contain the true value. It is wide where patients are few"),
    ("sensitivity", "share of the patients with the finding that are called positive"),
    ("specificity", "share of the patients without it that are called negative"),
    ("balanced accuracy", "the mean of these two"),
    ("Brier score", "mean squared error of the probability; 0 is perfect"),
    ("stage", "a part of the network that freezes and thaws as one, from stem to head"),
    ("full exchange", "sending the whole model to each site and back in every round, in float32"),
    ("probe round", "a round at the start that trains the head alone"),
    ("round", "the coordinator sends the model, the sites train it, their changes are averaged"),
)  # fmt: skip

_OF_CLASSES = (
    "Small numbers: a site is shown as a whole or not at all, and only where it has at least "
    f"{MIN_CELL} patients of every class (of every label, with it and without), or more where it "
    "has set a higher limit. Other sites are hidden too, until it cannot be computed from what is "
    f"shown. A class of which all sites together have fewer than {MIN_CELL} patients is left out "
    "of every number, with its patients. Cells of the confusion matrix are rounded down to "
    f"multiples of {MIN_CELL}, curves and groups joined until each step holds {MIN_CELL} patients, "
    "other numbers rounded to the digits that their patients support."
)


def reading_section(report: Report) -> Html:
    """Words in a list, then the rule for small numbers."""
    return reading(report, WORDS)


def reading(report: Report, words: Sequence[tuple[str, str]]) -> Html:
    """The section with these words."""
    items = [joined(element("dt", name), element("dd", text)) for name, text in words]
    return section(
        "reading",
        "Reading this page",
        element("dl", *items, class_="card"),
        paragraph(_small_numbers(report)),
    )


def _small_numbers(report: Report) -> Html:
    if report.min_cell == 0:
        return joined(
            "Small numbers: this page is for the owner of all of these sites' folders. Nothing is "
            "hidden or rounded on it, however few patients that reveals. ",
            element("code", "fedthaw report --for-others"),
            " writes a page that may be handed on.",
        )
    if report.config.predicts != BINARY:
        return joined(_OF_CLASSES)
    return joined(
        "Small numbers: what a site keeps to itself is not in the files that this page is made "
        f"from. In addition, no count of a single site below {report.min_cell} is on it, no other "
        "site's count from which that could be computed with the totals, and no total from which a "
        f"single hidden site, or fewer than {report.min_cell} hidden patients of a class, could be "
        "computed. Curves and groups are joined until each step holds "
        f"{report.min_cell} patients. A site may have set a higher limit, which it applies itself. "
        "Numbers are rounded to the digits that their patients support, training images and "
        f"patients to steps of {MIN_CELL}.",
    )
