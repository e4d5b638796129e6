"""How to read a page of several classes or labels."""

from __future__ import annotations

from server.report.data import Report
from server.report.html import Html
from server.report.sections.reading import WORDS, reading

OWN_WORDS = (
    ("patients", "those evaluated. Of labels from the fewest to the most of whom one is known: a "
     "patient of whom a label is missing counts for the others"),
    ("AUROC", "the probability that a patient of a class has a higher score for it than a patient "
     "of another; 0.5 is chance, 1 is perfect. Of ordered classes it is of all patients above a "
     "cut against those below. It is computed from counts of patients by score, in bins of 1/32 of "
     "a logit: patients in one bin are tied, so where scores hardly differ it is not exactly that "
     "of the scores"),
    ("mean AUROC", "the plain mean over classes, cuts or labels of which patients of both sides "
     "were evaluated. Its 95 % CI is DeLong's; how scores of one patient go together is "
     "estimated from sums that the sites send, not from single scores"),
    ("sensitivity", "share of the patients of a class that are predicted to be of it"),
    ("precision", "share of the patients predicted to be of a class that are; also called positive "
     "predictive value"),
    ("balanced accuracy", "the mean sensitivity of the classes; of labels the mean of sensitivity "
     "and specificity"),
    ("kappa", "agreement of predicted and true class beyond chance; 1 is perfect, 0 is chance. "
     "Quadratic weighted: a prediction counts as worse the further it is off, by the square"),
    ("calibration error", "mean difference between predicted probability and share of patients, in "
     "ten groups"),
)  # fmt: skip
_OTHERS = ("AUROC", "sensitivity", "specificity", "balanced accuracy")


def class_reading_section(report: Report) -> Html:
    """Words in a list, then the rule for small numbers."""
    words = [one for one in WORDS if one[0] not in _OTHERS]
    return reading(report, (*OWN_WORDS, *words))
