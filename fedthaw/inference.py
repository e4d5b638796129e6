"""A finished run's model on other patients: cohorts with outcomes, and single images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from client.predict.named_files import Device, Options, predict_named
from fedthaw.arguments import PathLike, path_of, paths_of
from fedthaw.progress import Progress
from fedthaw.run import Run, metrics_of
from fedthaw.session import session
from shared.errors import ConfigError
from shared.metrics.summary import BinaryMetrics

if TYPE_CHECKING:
    from client.predict.scores import Prediction


@dataclass(frozen=True)
class Evaluation:
    """The final model at all patients of one cohort."""

    site: str
    """The cohort's name, as its site.toml says."""
    folder: Path
    metrics: BinaryMetrics


def evaluate(
    run: Run | PathLike, cohorts: PathLike | Iterable[PathLike], *, progress: Progress = True
) -> tuple[Evaluation, ...]:
    """Evaluate a finished run's model on site folders that took no part in it, one after the other.

    All of them are looked at before the first is evaluated. Nothing is hidden: who has the folder
    sees its patients. Raises ConfigError where the run is not finished, SiteError where a folder is
    not a site's or its data is not valid.
    """
    run_folder, folders = _folder_of(run), [path.absolute() for path in paths_of(cohorts)]
    if not folders:
        raise ConfigError("No cohort is given; name one site folder or more.")
    with session(progress):
        from client.settings import load_site
        from server.evaluation.external import evaluate_external
        from shared.protocol.replies import own_sites

        for folder in folders:
            load_site(folder)
        found = []
        with own_sites():
            for folder in folders:
                site, metrics = evaluate_external(run_folder, folder)
                found.append(Evaluation(site, folder, metrics_of(metrics)))
    return tuple(found)


def predict(
    run: Run | PathLike,
    images: PathLike | Iterable[PathLike],
    *,
    explain: PathLike | None = None,
    operating_point: str | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    max_megapixels: float | None = None,
    patient: str | None = None,
    image: str | None = None,
    progress: Progress = True,
) -> Prediction:
    """Score images with a finished run's model.

    Args:
        run: A run, or its folder.
        images: DICOM, PNG or JPEG files, folders, which are searched, sites' folders, and a table
            (CSV or XLSX) that says which patient each image is of.
        explain: A folder for a Grad-CAM of each image, as PNG and DICOM.
        operating_point: Name of one of the run's; by default its first.
        device: auto takes a GPU where there is one.
        max_megapixels: Larger images are refused.
        patient: The table's column of patients; None guesses it.
        image: The table's column of images; None guesses it.
        progress: False shows warnings only.

    The result names patients and files. An image that cannot be read is among its `refused`, with
    the reason. Raises ConfigError where the run is not finished or knows no such operating point,
    SiteError where no image is found.

    """
    if device not in tuple(Device):
        raise ConfigError(f"device is {device!r}; it must be one of {', '.join(Device)}.")
    options = Options(
        explain=None if explain is None else path_of(explain),
        point=operating_point,
        device=Device(device),
        patient=patient,
        image=image,
    )
    if max_megapixels is not None:
        options = replace(options, maximum_pixels=_pixels(max_megapixels))
    with session(progress):
        return predict_named(_folder_of(run), paths_of(images), options)


def _folder_of(run: Run | PathLike) -> Path:
    return run.folder if isinstance(run, Run) else path_of(run)


def _pixels(megapixels: float) -> int:
    """As `fedthaw predict` takes them."""
    if not 0.01 <= megapixels <= 1000:
        raise ConfigError(f"max_megapixels is {megapixels}; it must lie in 0.01 to 1000.")
    return int(megapixels * 1_000_000)
