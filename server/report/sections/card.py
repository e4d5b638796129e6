"""The model card (Mitchell et al., FAT* 2019): what the model is for, and what is known of it."""

from __future__ import annotations

from server.report.data import CohortResults, Report
from server.report.html import Html, element, joined, section
from server.report.numbers import NOT_SHOWN, count, interval, metric, percent
from shared.limits import ImageFit
from shared.settings.config import RunConfig
from shared.settings.schedule import statistics_stay_at_sites

_INPUTS = {
    ImageFit.PAD: "padded to a square",
    ImageFit.CROP: "cropped to a square",
    ImageFit.STRETCH: "stretched",
}


def card_section(report: Report) -> Html:
    """The model card as a list of terms."""
    terms: list[tuple[str, str | None]] = [
        ("Model", _model(report.config)),
        (
            "Intended use",
            "Research on this finding in radiographs like those it was trained on, by people who "
            "know how they were chosen. It is not a medical device: it has not been examined for "
            "diagnosis, triage or treatment, and must not be used for them.",
        ),
        (
            "What it predicts",
            "The probability of the finding that the sites' site.toml name as positive. The "
            "coordinator does not learn how a site defines it; ask the sites."
            + _sampled(report.config),
        ),
        ("Training data", _training(report)),
        ("Evaluation", _evaluation(report)),
        ("Performance", _performance(report)),
        ("Limits", _limits(report)),
        (
            "Privacy",
            "Sites sent changes of weights and counts, never images, identifiers or scores of "
            "patients. Weights can still reveal something of training data; nothing in this run "
            "bounds how much.",
        ),
    ]
    items = [joined(element("dt", name), element("dd", text)) for name, text in terms]
    return section("card", "Model card", element("dl", *items, class_="card"))


def _sampled(config: RunConfig) -> str:
    if config.sampling != "balanced":
        return ""
    return (
        " Training drew both classes equally often, so it is too high where the finding is rare; "
        "recalibration in calibration.json corrects that for patients like the validation patients."
    )


def _model(config: RunConfig) -> str:
    return (
        f"{config.backbone}, one greyscale image of {config.image_size} x {config.image_size} "
        f"pixels, {_INPUTS[ImageFit(config.image_fit)]}, to one logit. "
        f"Base weights: {_weights(config)}. "
        "A patient's score is the mean probability of that patient's images."
    )


def _weights(config: RunConfig) -> str:
    return {
        "xrv": "TorchXRayVision, chest radiographs",
        "imagenet": "ImageNet",
        "random": "none, it was trained from random weights",
    }.get(config.weights, "a local file")


def _training(report: Report) -> str:
    if not report.contributions:
        return "No round is finished yet."
    shown = [own for own in report.contributions if own.images is not None]
    hidden = len(report.contributions) - len(shown)
    parts = [
        f"{own.site}: {count(own.images)} images, {count(own.patients)} patients" for own in shown
    ]
    if hidden:
        others = "site whose numbers are" if hidden == 1 else "sites whose numbers are"
        parts.append(f"{hidden} {others} not shown")
    whole = report.trained_on
    total = f"{count(whole.images)} images of {count(whole.patients)} patients: " if whole else ""
    return f"{total}{'; '.join(parts)}."


def _evaluation(report: Report) -> str:
    names = [cohort.name for cohort in report.cohorts]
    if not names:
        return "Nothing has been evaluated yet."
    part = percent(report.config.validation_fraction)
    validation = f"patients of either class at each site, {part} of them, never trained on"
    if "test" in names:
        return (
            f"On held-out test patients (fold {report.config.fold}, counted from 0, of "
            f"{report.config.folds} at each site), who took no part in training or in any "
            f"choice. Validation is on {part} of the others. Scores were counted at the sites "
            "and added up. No external hospital is included; fedthaw evaluate does that."
        )
    return (
        f"On validation {validation}; there is no held-out test fold and no external "
        "hospital, so it may be optimistic. Scores were counted at the sites and added up. fedthaw "
        "evaluate evaluates the model on an external cohort."
    )


def _performance(report: Report) -> str:
    return " ".join(_one(cohort) for cohort in report.cohorts) or "Not known yet."


def _one(cohort: CohortResults) -> str:
    def by_name(name: str, value: str) -> str:
        return f"{name} {value}"

    if cohort.pooled is None:
        return f"In the {cohort.title}: {NOT_SHOWN}."
    sites = [
        by_name(name, NOT_SHOWN if own is None else metric(own.auroc))
        for name, own in cohort.sites.items()
    ]
    limits = interval(cohort.pooled.auroc_ci95)
    return (
        f"AUROC in the {cohort.title} of all sites: {metric(cohort.pooled.auroc)} (95 % CI "
        f"{limits}); by site: {', '.join(sites)}."
    )


def _limits(report: Report) -> str:
    text = (
        "Confidence intervals reflect sampling variability only, not other hospitals, devices or "
        "years. Performance by sex, age or ethnicity is not known here: sites send counts by score "
        "and class only."
    )
    if statistics_stay_at_sites(report.config):
        text += (
            " With batch-norm=local each site keeps statistics of its own, so model.safetensors "
            "was not evaluated as it is."
        )
    if report.config.weights == "random":
        text += " The model was not pretrained on radiographs."
    return text
