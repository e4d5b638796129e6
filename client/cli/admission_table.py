"""The admission report on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from client.data.admission import Admission, admit
from client.data.findings import NAMED, too_many_for_outcomes
from client.data.report import AdmissionReport
from client.settings import load_site
from shared.plain import shown

_KINDS = {"image": "image(s)", "row": "row(s)"}
"""Of what is listed, in words."""


def admit_with_progress(
    folder: Path, image_size: int, image_fit: str, channels: int = 1
) -> Admission:
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
            channels=channels,
        )


def print_report(report: AdmissionReport, *, listed: bool = False) -> None:
    """Counts, problems and warnings; where `listed`, each file and row that they are about."""
    console = Console()
    table = Table(title=f"Admission of {report.site}", show_header=False)
    for name, value in _rows(report):
        table.add_row(name, Text(shown(value)))
    console.print(table)
    for item in report.listed if listed else ():
        _print(
            console,
            f"{'excluded' if item.out else 'look at':<10} {item.kind} {item.name}: {item.why}",
        )
    for sentence in (*report.warnings, *report.not_checked):
        _print(console, f"note       {sentence}")
    for sentence in report.problems:
        _print(console, f"problem    {sentence}", "bold red")
    kinds = Counter(item.kind for item in report.listed)
    if kinds and not listed:
        # Counted separately: an image that is not used and its row are one matter, listed twice.
        counted = [f"{kinds[kind]} {word}" for kind, word in _KINDS.items() if kinds[kind]]
        _print(console, f"{' and '.join(counted)} are excluded or doubtful; --list names them.")
    if not report.problems:
        _print(console, f"{report.site} can take part.", "bold green")


def _print(console: Console, sentence: str, style: str = "") -> None:
    console.print(
        shown(sentence), style=style, highlight=False, markup=False, emoji=False, soft_wrap=True
    )


def _rows(report: AdmissionReport) -> list[tuple[str, str]]:
    counts = report.counts
    rows = [
        ("images found", str(report.images_found)),
        ("images admitted", f"{report.images_admitted} of {counts.patients} patients"),
        *((one.word, f"{one.patients} patients, {one.images} images") for one in counts.classes),
        ("set aside", _tally(report.rejected_by_reason)),
        ("labelled images lost", str(report.images_vanished)),
        ("duplicates", str(report.duplicates)),
        ("images without label", str(report.images_without_label)),
        ("images of an outcome not used", str(report.images_of_unused_outcome)),
        ("images of another subject", str(report.images_of_other_subjects)),
        ("images with conflicting labels", str(report.images_of_contradictory_patients)),
        ("rows of the table", str(report.label_rows)),
        ("rows without image", str(report.labels_without_image)),
        ("rows set aside", _tally(report.bad_rows)),
        ("outcomes missing", str(report.missing_outcomes)),
        ("outcomes excluded", _outcomes(report.excluded_outcomes)),
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


def _outcomes(tally: Mapping[str, int]) -> str:
    return too_many_for_outcomes(tally) or _tally(tally)


def _tally(tally: Mapping[str, int]) -> str:
    items = [f"{value} x {name}" for name, value in tally.items()]
    more = len(items) - NAMED
    return ", ".join([*items[:NAMED], *([f"{more} more"] if more > 0 else [])])
