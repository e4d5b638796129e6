"""A second cohort of the same radiographs: who trained is external, and who was external trains.

The external patients are dealt to four sites as large as the first four, with both outcomes in
each; the first four's patients become one external cohort. Images are copied as they are. What it
writes is what `benchmarks/pediatric.py --data` takes.

    .venv/bin/python -m benchmarks.swapped --data ../shared/data/pediatric --out runs/swapped
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SHARES = {"north": 56, "east": 44, "south": 35, "west": 28}
"""Patients of the four sites; the external ones are dealt in proportion."""
COLUMNS = ("patient_id", "image", "etiology")


@dataclass(frozen=True)
class Row:
    """A line of a site's table."""

    patient: str
    image: Path
    outcome: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of site folders")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    options = parser.parse_args()
    template = (options.data / "external" / "site.toml").read_text(encoding="utf-8")
    for name, rows in deal(read(options.data / "external")).items():
        write(options.out / name, rows, template.replace('"external"', f'"{name}"'))
    others = [row for name in SHARES for row in read(options.data / name)]
    write(options.out / "external", others, template)
    print(f"Wrote {', '.join(SHARES)} and external into {options.out}.")


def read(site: Path) -> list[Row]:
    with (site / "labels.csv").open(encoding="utf-8", newline="") as table:
        return [
            Row(line["patient_id"], site / "images" / line["image"], line["etiology"])
            for line in csv.DictReader(table)
        ]


def deal(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Each patient to one site: of either outcome every site has its share, by chance."""
    kept = list(rows)
    dealt: dict[str, str] = {}
    places = [name for turn in range(max(SHARES.values())) for name in turn_of(turn)]
    for outcome in sorted({row.outcome for row in kept}):
        patients = {row.patient for row in kept if row.outcome == outcome}
        ordered = sorted(patients, key=lambda one: hashlib.sha256(one.encode()).hexdigest())
        step = len(places) / len(ordered)
        dealt |= {one: places[int(number * step)] for number, one in enumerate(ordered)}
    return {name: [row for row in kept if dealt[row.patient] == name] for name in SHARES}


def turn_of(turn: int) -> list[str]:
    """The sites that have so many patients or more."""
    return [name for name, share in SHARES.items() if turn < share]


def write(site: Path, rows: Iterable[Row], settings: str) -> None:
    """A site's folder: its images, table and site.toml."""
    (site / "images").mkdir(parents=True)
    (site / "site.toml").write_text(settings, encoding="utf-8")
    with (site / "labels.csv").open("w", encoding="utf-8", newline="") as table:
        lines = csv.writer(table)
        lines.writerow(COLUMNS)
        for row in rows:
            shutil.copyfile(row.image, site / "images" / row.image.name)
            lines.writerow((row.patient, row.image.name, row.outcome))


if __name__ == "__main__":
    main()
