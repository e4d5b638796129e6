"""Terms and what they mean here."""

from __future__ import annotations

from server.report.html import Html, element, joined, section
from server.results.external import ExternalEvaluation
from server.results.shown import Audience
from shared.limits import MIN_CELL

_TERMS = (
    ("95 % CI", "Confidence interval: the range compatible with the data; 95 % of such intervals "
     "contain the true value. AUROC: DeLong's variance on the logit scale. AUPRC: a binomial "
     "interval with the patients who have the finding as its trials (Boyd, Eng and Page 2013), in "
     "Wilson's form. Prevalence, sensitivity, specificity, predictive values: Clopper-Pearson. "
     "Shares in the reliability curve: Wilson. Brier score, intercept and slope: Wald. "
     "The expected calibration error has none, because resampling makes it larger."),
    ("AUPRC", "Average precision. It depends on the prevalence, which it equals for a model that "
     "guesses, so cohorts of different prevalence cannot be compared by it."),
    ("Subgroups", "Each patient is in one group of a column. 'several': the patient's images "
     "differ in it; 'not stated': no value. CIs are not corrected for the number of groups, and a "
     "difference between groups was not tested."),
    ("Intended use", "Research. It is not a medical device; no decision about a patient may rest "
     "on it."),
)  # fmt: skip


_CHOSEN = (
    "Thresholds and recalibration come from the run's calibration.json. They were chosen on the "
    "run's validation patients"
)
_BEFORE = "so nothing here is optimistic for having been chosen on the patients it is judged by."
_ALSO_HERE = (
    "who may be among the patients here: what was chosen on them, and on the training patients, "
    "looks better here than it is."
)


def reading_section(evaluation: ExternalEvaluation) -> Html:
    """A list of terms, and for others the rule for small numbers."""
    effect = _BEFORE if evaluation.is_external else _ALSO_HERE
    terms = [("Chosen before", f"{_CHOSEN}, {effect}"), *_TERMS]
    if evaluation.audience is Audience.OTHERS:
        terms.append(
            ("Not shown", f"Cohorts and subgroups with fewer than {MIN_CELL} patients of a class, "
             "or than the cohort's own min-cell, and those from which such a group could be "
             "computed; 'other groups' stands for all of a column. Curves and "
             "operating points are of groups of scores, so a threshold may be "
             "moved to the edge of a group.")
        )  # fmt: skip
    items = [joined(element("dt", name), element("dd", text)) for name, text in terms]
    return section("reading", "Reading this page", element("dl", *items, class_="card"))
