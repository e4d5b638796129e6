"""The page of a study from its sections, the last of which says how to read it."""

from __future__ import annotations

from collections.abc import Callable

from server.report.html import Html, element, joined, section
from server.report.numbers import in_words
from server.report.page import page
from server.report.study.arms import arms_section
from server.report.study.data import StudyReport
from server.report.study.differences import differences_section
from server.report.study.outcome import study_outcome, study_title
from server.report.study.setup import setup_section
from server.report.study.thresholds import thresholds_section
from server.results.study import StudyResult
from shared.limits import MIN_CELL


def reading_section(report: StudyReport) -> Html:
    """Terms and what they mean here."""
    plan = report.result.plan
    repeats = in_words(plan.repeats, "repeat", "repeats")
    terms: tuple[tuple[str, str], ...] = (
        ("Folds", f"Each site divided its patients into {plan.folds} folds, all images of a "
         "patient in one of them and both classes spread evenly. Each fold was held out once: a "
         "federation was trained on the others, and its thresholds and temperature were chosen on "
         f"validation patients among those. This was done in {repeats}, each with other folds."),
        ("Held-out scores", "The scores of all folds of a repeat are counted together at the "
         "sites, by class, and the counts added up. Folds are of different models, so a "
         "difference in level between them lowers the AUROC: what is evaluated is the way of "
         "training with its thresholds, not a single model."),
        ("95 % CI", "Confidence interval: the range compatible with the data; 95 % of such "
         "intervals contain the true value. It is DeLong's, its limits averaged over the repeats, "
         "and does not allow for training on other patients; no unbiased estimate of that can be "
         "had from cross-validation (Bengio and Grandvalet, JMLR 2004;5:1089-1105). In simulated "
         "studies of 60 and 160 patients it contained the true value in 89 % of those of one "
         "repeat, in 95 % and 97 % of those of three and six."),
        ("p-values", "In the same simulated studies two equal arms differed at 0.05 in "
         "1 to 4 % of those of three or six repeats, but in 8 to 11 % of those of one repeat: "
         "single models differ by chance. So one repeat proves little."),
        ("Standard deviation", "Over the repeats, which have the same patients: how much folds "
         "and seed matter. It does not measure uncertainty over patients."),
        ("Not shown", f"Steps and groups of fewer than {MIN_CELL} patients are joined. An arm "
         "that would reveal fewer patients of a site than it allows, by itself or together with "
         "others that are shown, is omitted."),
        ("Intended use", "Research on ways of training. It is not a medical device; no decision "
         "about a patient may rest on any of its models."),
    )  # fmt: skip
    if not isinstance(report.result, StudyResult):
        terms = tuple(_OF_CLASSES.get(name, (name, text)) for name, text in terms)
    items = [joined(element("dt", name), element("dd", text)) for name, text in terms]
    return section("reading", "Reading this page", element("dl", *items, class_="card"))


_OF_CLASSES = {
    "Folds": ("Folds", "Each site divided its patients into folds, all images of a patient in one "
              "of them and all classes or labels spread evenly. Each fold was held out once: a "
              "federation was trained on the others."),
    "95 % CI": ("95 % CI", "Confidence interval: the range compatible with the data; 95 % of such "
                "intervals contain the true value. That of the mean AUROC is DeLong's, its limits "
                "averaged over the repeats; how scores of one patient go together is estimated "
                "from sums that the sites send. It does not allow for training on other patients."),
    "p-values": ("Mean AUROC", "The plain mean over classes against the rest, cuts between ordered "
                 "classes, or labels, of which patients of both sides were held out. Arms are "
                 "compared by it, in the same patients: each patient adds something to the "
                 "difference of two arms' means, and the sum of the squares is its variance "
                 "(DeLong's test, for a mean of AUROCs). One repeat proves little: single models "
                 "differ by chance."),
}  # fmt: skip
"""In place of those above, where a study has several classes or labels."""
_SECTIONS: tuple[tuple[str, str, Callable[[StudyReport], Html]], ...] = (
    ("arms", "Arms", arms_section),
    ("differences", "Differences", differences_section),
    ("thresholds", "Calibration and thresholds", thresholds_section),
    ("setup", "Configuration", setup_section),
    ("reading", "Reading this page", reading_section),
)


def study_page(report: StudyReport) -> str:
    """The page of a study, complete in itself: no script, and nothing that is fetched."""
    several = not isinstance(report.result, StudyResult)
    sections = [
        (name, title, build(report))
        for name, title, build in _SECTIONS
        if not (several and name == "thresholds")  # of which a run of several classes chooses none
    ]
    return page(f"{study_title(report)} - FedThaw", study_outcome(report), sections)
