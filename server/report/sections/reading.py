"""How to read the page: the words, and what is left out for privacy."""

from __future__ import annotations

from server.report.data import Report
from server.report.html import Html, element, joined, paragraph, section
from shared.limits import MIN_CELL

_WORDS = (
    ("AUROC", "the chance that a patient with the finding has a higher score than one without; "
     "0.5 is guessing, 1 is perfect"),
    ("95 % CI", "confidence interval: the range compatible with the data; 95 % of such intervals "
     "contain the true value. It is wide when patients are few"),
    ("sensitivity", "share of the patients with the finding that are called positive"),
    ("specificity", "share of the patients without it that are called negative"),
    ("balanced accuracy", "the mean of these two"),
    ("Brier score", "mean squared error of the probability; 0 is perfect"),
    ("stage", "a part of the network that freezes and thaws as one, from stem to head"),
    ("round", "the coordinator sends the model, sites train it, their changes are averaged"),
)  # fmt: skip


def reading_section(report: Report) -> Html:
    """Words in a list, then the rule for small numbers."""
    items = [joined(element("dt", name), element("dd", text)) for name, text in _WORDS]
    return section(
        "reading",
        "Reading this page",
        element("dl", *items, class_="card"),
        paragraph(_small_numbers(report)),
    )


def _small_numbers(report: Report) -> str:
    if report.min_cell == 0:
        return (
            "Small numbers: this page is for whoever owns all of these sites' folders, and nothing "
            "is hidden or rounded on it, however few patients it reveals. `fedthaw report "
            "--for-others` writes a page that may be handed on."
        )
    return (
        "Small numbers: what a site keeps to itself is not in the files that this page is made "
        f"from. Besides, no count of a single site below {report.min_cell} is on it, no other "
        "site's where it could be computed from that and the totals, and no total behind which "
        f"fewer than two hidden sites or {report.min_cell} hidden patients of a class stand. "
        "Curves and groups are of all sites and are joined until each step holds "
        f"{report.min_cell} patients. The limit of a site may be higher; it is applied at the "
        "site to its own values. Numbers have the digits that their patients support; training "
        f"images and patients are in steps of {MIN_CELL}."
    )
