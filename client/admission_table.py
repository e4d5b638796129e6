"""The admission report on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from client.data.admission import Admission, admit
from client.data.report import AdmissionReport
from client.settings import load_site

LISTED_FILES = 20


def admit_with_progress(folder: Path, image_size: int, image_fit: str) -> Admission:
    """Admit a site's folder, with a bar on a terminal."""
    settings = load_site(folder)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("Reading images", total=None)
        return admit(
            settings,
            image_size,
            image_fit,
            lambda done, total: progress.update(bar, completed=done, total=total),
        )


def print_report(report: AdmissionReport) -> None:
    """Counts, what was set aside and why, problems and warnings."""
    console = Console()
    table = Table(title=f"Admission of {report.site}", show_header=False)
    for name, value in _rows(report):
        table.add_row(name, escape(value))
    console.print(table)
    for path, reason in report.rejected[:LISTED_FILES]:
        console.print(f"set aside  {path}: {reason}", highlight=False, markup=False, soft_wrap=True)
    if len(report.rejected) > LISTED_FILES:
        console.print(f"and {len(report.rejected) - LISTED_FILES} more")
    for sentence in report.warnings:
        console.print(f"note       {sentence}", highlight=False, markup=False, soft_wrap=True)
    for sentence in report.problems:
        console.print(
            f"problem    {sentence}",
            style="bold red",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    if not report.problems:
        console.print(f"{report.site} can take part.", style="bold green")


def _rows(report: AdmissionReport) -> list[tuple[str, str]]:
    counts = report.counts
    rows = [
        ("images found", str(report.images_found)),
        ("images admitted", f"{report.images_admitted} of {counts.patients} patients"),
        ("positive", f"{counts.positive_patients} patients, {counts.positive_images} images"),
        ("negative", f"{counts.negative_patients} patients, {counts.negative_images} images"),
        ("set aside", _tally(report.rejected_by_reason)),
        ("duplicates", str(report.duplicates)),
        ("images without label", str(report.images_without_label)),
        ("images of an outcome not used", str(report.images_of_unused_outcome)),
        ("images of contradictory patients", str(report.images_of_contradictory_patients)),
        ("rows of the table", str(report.label_rows)),
        ("rows without image", str(report.labels_without_image)),
        ("rows without patient", str(report.labels_without_patient)),
        ("outcomes missing", str(report.missing_outcomes)),
        ("outcomes excluded", _tally(report.excluded_outcomes)),
        ("format", _tally(report.formats)),
        ("photometric interpretation", _tally(report.photometric_interpretations)),
        ("bits", _tally(report.bits)),
        ("view", _tally(report.views)),
        ("burned-in annotation", _tally(report.burned_in_annotations)),
        ("cache", _cache(report)),
    ]
    return [(name, value) for name, value in rows if value not in ("0", "")]


def _cache(report: AdmissionReport) -> str:
    age = report.oldest_cache_days
    oldest = "" if age is None else f", oldest {age:.0f} days"
    return f"{report.cached} images kept{oldest}; {report.decoded} decoded now"


def _tally(tally: Mapping[str, int]) -> str:
    return ", ".join(f"{value} x {name}" for name, value in tally.items())
