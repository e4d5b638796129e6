"""The model card (Mitchell et al., FAT* 2019): what the model is for, and what is known of it."""

from __future__ import annotations

from server.report.data import ClassCohort, CohortResults, Report
from server.report.html import Html, element, joined, section
from server.report.numbers import NOT_SHOWN, count, interval, metric, percent
from shared.limits import ImageColour, ImageFit
from shared.outcome.binary import BINARY
from shared.settings.config import RunConfig
from shared.settings.schedule import statistics_stay_at_sites

_INPUTS = {
    ImageFit.PAD: "padded to a square",
    ImageFit.CROP: "cropped to a square",
    ImageFit.STRETCH: "stretched to a square",
}
_COLOURS = {ImageColour.GREY: "greyscale image", ImageColour.RGB: "image in red, green and blue"}


_COUNTED = (
    "Scores were counted at the sites and the counts added up. No external hospital is included: "
    "fedthaw evaluate does that."
)


def card_section(report: Report) -> Html:
    """The model card as a list of terms."""
    terms: list[tuple[str, str | None]] = [
        ("Model", _model(report.config)),
        (
            "Intended use",
            "Research on this finding, in radiographs like those of the training, by people who "
            "know how these were selected. It is not a medical device: it has not been validated "
            "for diagnosis, triage or treatment and must not be used for them.",
        ),
        (
            "What it predicts",
            _predicts(report) + _sampled(report.config),
        ),
        ("Training data", _training(report)),
        ("Evaluation", _evaluation(report)),
        ("Performance", _performance(report)),
        ("Limits", _limits(report)),
        (
            "Privacy",
            "Sites sent changes of weights, and counts of patients by score; never images or "
            "identifiers. Weights can still reveal something about the training data, and "
            "nothing in this run bounds how much.",
        ),
    ]
    items = [joined(element("dt", name), element("dd", text)) for name, text in terms]
    return section("card", "Model card", element("dl", *items, class_="card"))


def _predicts(report: Report) -> str:
    predicts = report.config.predicts
    named = f": {report.finding}" if report.finding not in ("", ", ".join(predicts.names)) else ""
    if predicts != BINARY:
        what = {
            "classes": "The probability of each class",
            "ordinal": "The probability of each class, from the lowest to the highest",
            "labels": "The probability of each finding, of which a patient may have several",
        }[predicts.kind]
        return (
            f"{what}{named}: {', '.join(predicts.names)}, as the sites' site.toml files define "
            "them. Which values of a table mean which is not sent to the coordinator; ask the "
            "sites."
        )
    return (
        f"The probability of the finding that the sites' site.toml files name as positive{named}. "
        "How a site defines it is not sent to the coordinator; ask the sites."
    )


def _sampled(config: RunConfig) -> str:
    if config.sampling != "balanced" or config.predicts != BINARY:
        return ""
    fitted = config.schedule == "logistic"
    how = "weighted both classes alike" if fitted else "drew both classes equally often"
    return (
        f" Training {how}, so the probability is too high where the "
        "finding is rare. Where there were enough validation patients, calibration.json has a "
        "recalibration that corrects this for patients like them."
    )


def _model(config: RunConfig) -> str:
    return (
        f"{config.backbone}. Input: one {_COLOURS[ImageColour(config.image_colour)]}, "
        f"{_INPUTS[ImageFit(config.image_fit)]} of {config.image_size} x {config.image_size} "
        "pixels. Output: "
        f"{'one logit' if config.outputs == 1 else f'{config.outputs} logits'}. Base weights: "
        f"{_weights(config)}.{_baseline(config)} A patient's score is the mean probability of "
        "that patient's images."
    )


def _baseline(config: RunConfig) -> str:
    if config.schedule != "logistic":
        return ""
    return (
        " A baseline: the head is the mean of the sites' logistic regressions (L2 penalty, "
        f"logistic-c={config.logistic_c:g}) on the features of the base."
    )


def _weights(config: RunConfig) -> str:
    return {
        "xrv": "TorchXRayVision, chest radiographs",
        "imagenet": "ImageNet",
        "random": "none; it was trained from random weights",
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
    names = [one.name for one in report.cohorts] + [one.name for one in report.classes]
    if not names:
        return "Nothing has been evaluated yet."
    part = percent(report.config.validation_fraction)
    if "test" in names:
        return (
            f"In held-out test patients (fold {report.config.fold + 1} of {report.config.folds} at "
            "each site), on whom neither training nor any choice was based. Of the others "
            f"{part} are validation patients. {_COUNTED}"
        )
    return (
        f"In the validation patients, {part} of each site's, who were never trained on. There is "
        f"no held-out test fold, so results may be optimistic. {_COUNTED}"
    )


def _performance(report: Report) -> str:
    said = [_one(cohort) for cohort in report.cohorts]
    said += [_one(cohort) for cohort in report.classes]
    return " ".join(said) or "Not known yet."


def _one(cohort: CohortResults | ClassCohort) -> str:
    def by_name(name: str, value: str) -> str:
        return f"{name} {value}"

    if cohort.pooled is None:
        return f"In the {cohort.title}: {NOT_SHOWN}."
    sites = [
        by_name(name, NOT_SHOWN if own is None else metric(own.auroc))
        for name, own in cohort.sites.items()
    ]
    limits = interval(cohort.pooled.auroc_ci95)
    area = "AUROC" if isinstance(cohort, CohortResults) else "Mean AUROC"
    return (
        f"{area} in the {cohort.title} of all sites: {metric(cohort.pooled.auroc)} (95 % CI "
        f"{limits}); by site: {', '.join(sites)}."
    )


def _limits(report: Report) -> str:
    text = (
        "Confidence intervals reflect sampling variability only; they do not allow for other "
        "hospitals, devices or years. Performance by sex, age or ethnicity is unknown here, as "
        "sites send counts by score and class only."
    )
    if statistics_stay_at_sites(report.config):
        text += (
            " With batch-norm=local each site keeps its own BatchNorm statistics, so "
            "model.safetensors was not evaluated as it is."
        )
    if report.config.weights == "random":
        text += " The model was not pretrained on radiographs."
    return text
