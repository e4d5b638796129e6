"""How the final model came about, where it is not the last round's."""

from __future__ import annotations

from server.report.html import Html, element, joined, paragraph, table
from server.report.numbers import NOT_SHOWN, listed, metric, percent
from server.results.ending import Choice, Ending, in_words
from server.terminal.decimals import as_rounded

WHY_AVERAGE = "The mean of several rounds' models (SWA) varies less than any one of them."
WHY_CHOICE = (
    "On the straight line from the probe's last model to that of the end, every site evaluated the "
    "same candidates on its validation patients and sent counts. Of those whose log-loss over all "
    "sites is within one standard error of the smallest, the one nearest to half-way became the "
    "final model (WiSE-FT). "
    "Patients of a test fold or of an external cohort had no say; results in the "
    "validation patients, who chose, are slightly optimistic."
)


def ending(found: Ending) -> Html:
    """A paragraph, and the candidates in a table where there was a choice."""
    averages = found.averaged[0] < found.averaged[1]
    text = paragraph(in_words(found), f" {WHY_AVERAGE}" if averages else None)
    heading = element("h3", "The final model")
    if found.choice is None:
        return joined(heading, text)
    return joined(
        heading, text, paragraph(WHY_CHOICE), _candidates(found.choice), _who(found.choice)
    )


def _candidates(choice: Choice) -> Html:
    rows = [
        (
            f"{percent(one.share)}{', chosen' if one.share == choice.share else ''}",
            NOT_SHOWN if one.log_loss is None else as_rounded(one.log_loss, 3),
            NOT_SHOWN if one.log_loss_error is None else as_rounded(one.log_loss_error, 3),
            NOT_SHOWN if one.log_loss is None and one.auroc is None else metric(one.auroc),
        )
        for one in choice.candidates
    ]
    head = ("way from the probe to the end", "log-loss", "standard error", "AUROC")
    return table("Candidates, in the validation patients of all sites", head, rows)


def _who(choice: Choice) -> Html | None:
    if not choice.missing:
        return None
    return paragraph(
        f"Without {listed(sorted(choice.missing))}, which did not answer.", class_="note"
    )
