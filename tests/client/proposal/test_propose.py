"""Tables of many kinds, and what is proposed for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import openpyxl
import pytest

from client.data.admission import admit
from client.proposal.classes import Classes, OneColumn
from client.proposal.propose import Choices, Proposal, propose
from client.proposal.text import site_toml
from client.settings import load_site
from shared.errors import SiteError

WritePng = Callable[[Path, int], Path]
Row = Callable[[int], Sequence[object]]
FILES = [f"img{number:03d}.png" for number in range(12)]


@pytest.fixture
def proposed(tmp_path: Path, write_png: WritePng) -> Callable[..., Proposal]:
    """What is proposed for a table of 12 rows and these images; its text is loaded as well."""

    def make(
        head: Sequence[str],
        row: Row,
        *,
        files: Sequence[str] = FILES,
        separator: str = ",",
        before: str = "",
        encoding: str = "utf-8",
        **choices: object,
    ) -> Proposal:
        site = tmp_path / "north"
        for number, file in enumerate(files):
            write_png(site / "images" / file, number)
        lines = [separator.join(head)]
        lines += [separator.join(map(str, row(number))) for number in range(12)]
        (site / "labels.csv").write_text(before + "\n".join(lines) + "\n", encoding=encoding)
        proposal = propose(site, site / "labels.csv", Choices(**choices))  # type: ignore[arg-type]
        (site / "site.toml").write_text(site_toml(proposal), encoding="utf-8")
        loaded, wanted = load_site(site), proposal.settings
        assert (loaded.patient, loaded.image, loaded.outcome, loaded.encoding, loaded.images) == (
            wanted.patient, wanted.image, wanted.outcome, wanted.encoding, wanted.images,
        )  # fmt: skip
        return proposal

    return make


def columns(proposal: Proposal) -> tuple[str, str | None, str]:
    return proposal.settings.patient, proposal.settings.image, proposal.settings.outcome


def classes(proposal: Proposal) -> Classes:
    assert isinstance(proposal.outcome, OneColumn)
    return proposal.outcome.classes


@pytest.mark.parametrize(
    ("head", "row", "expected"),
    [
        (["patient_id", "image", "bpd"],
         lambda n: (f"P{n // 2}", FILES[n], ["no", "yes"][n % 4 // 2]),
         ("patient_id", "image", "bpd")),
        (["Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age",
          "Patient Gender"],
         lambda n: (FILES[n], ["No Finding", "Mass"][n % 2], n, n, 30 + n % 3, "MF"[n % 2]),
         ("Patient ID", "Image Index", "Finding Labels")),
        (["", "subject_id", "img_path", "sex", "covid"],
         lambda n: (n, f"S{n // 2}", f"D:\\x\\{FILES[n]}", "MF"[n % 2],
                    ["positive", "negative"][n % 4 // 2]),
         ("subject_id", "img_path", "covid")),
        (["MRN", "DICOM", "age", "CLD"],
         lambda n: (f"{n:07d}", FILES[n].upper(), n % 3, "NY"[n % 2]),
         ("MRN", "DICOM", "CLD")),
        (["case", "file", "y", "empty"], lambda n: (n, FILES[n][:-4], ["TRUE", "FALSE"][n % 2], ""),
         ("case", "file", "y")),
    ],
    ids=["plain", "ChestX-ray14", "index column", "numbers", "no suffix"],
)  # fmt: skip
def test_the_columns_that_count(
    proposed: Callable[..., Proposal], head: list[str], row: Row, expected: tuple[str, str, str]
) -> None:
    proposal = proposed(head, row)
    assert columns(proposal) == expected
    used = set(expected)
    assert {column.name for column in proposal.unused} == {n for n in head if n} - used
    assert sum(patients for _, patients, _ in proposal.found.patients) > 0


def test_an_image_of_several_patients_counts_as_in_admission(
    proposed: Callable[..., Proposal],
) -> None:
    proposal = proposed(
        ["patient", "image", "bpd"], lambda n: (f"P{n}", FILES[max(n, 2)], ["no", "yes"][n % 2])
    )
    assert proposal.found.patients == (("positive", 5, 5), ("negative", 4, 4))
    assert "1 image(s) have rows of several patients; they are excluded." in proposal.checks
    counts = admit(load_site(proposal.settings.folder), 32, "pad").cohort.counts()
    assert tuple((c.word, c.patients, c.images) for c in counts.classes) == proposal.found.patients


def test_titles_semicolons_and_umlauts(proposed: Callable[..., Proposal]) -> None:
    proposal = proposed(
        ["Patienten-ID", "Dateiname", "Alter", "Geschlecht", "Befund"],
        lambda n: (n, FILES[n], "12,5", "wm"[n % 2], ["unauffällig", "Pneumonie"][n % 2]),
        separator=";", before="Export vom 3.4., Station A\n\n", encoding="cp1252",
    )  # fmt: skip
    assert columns(proposal) == ("Patienten-ID", "Dateiname", "Befund")
    assert classes(proposal).positive == ("Pneumonie",)
    assert proposal.found.patients == (("positive", 6, 6), ("negative", 6, 6))


def test_patients_that_the_files_are_named_after(proposed: Callable[..., Proposal]) -> None:
    files = [f"P{number // 2}/{number}.png" for number in range(24)]
    proposal = proposed(["id", "bpd"], lambda n: (f"P{n}", n % 2), files=files)
    assert columns(proposal) == ("id", None, "bpd")
    assert proposal.found.patients == (("positive", 6, 12), ("negative", 6, 12))
    assert "# image = " in site_toml(proposal)


def test_dicom_patient_ids_show_the_column(
    tmp_path: Path, write_dicom: Callable[..., Path], ramp: Callable[..., object]
) -> None:
    for number in range(6):
        write_dicom(ramp(seed=number), 12, PatientID=f"{number:03d}", name=f"images/{number}.dcm")
    table = tmp_path / "labels.csv"
    lines = (f"{number},{5 - number},{'ny'[number % 2]}" for number in range(6))
    table.write_text("nummer,rang,bpd\n" + "\n".join(lines) + "\n", encoding="utf-8")
    proposal = propose(tmp_path, table, Choices(by_patient=True))
    assert columns(proposal) == ("nummer", None, "bpd")
    assert "100%" in proposal.why["patient"]


def test_images_without_patients_are_patients_where_nothing_speaks_against_it(
    proposed: Callable[..., Proposal],
) -> None:
    proposal = proposed(["filename", "label"], lambda n: (FILES[n], n % 2))
    assert columns(proposal) == ("filename", "filename", "label")
    assert proposal.checks[0].startswith("No column names patients")


def test_headers_that_show_several_images_of_a_patient_ask_for_the_column(
    tmp_path: Path, write_dicom: Callable[..., Path], ramp: Callable[..., object]
) -> None:
    """The names, as UIDs are, say nothing."""
    names = [f"1.2.3.{1000 + 7 * number}.dcm" for number in range(8)]
    table = tmp_path / "labels.csv"
    lines = (f"{name},{number // 2 % 2}\n" for number, name in enumerate(names))
    table.write_text("file,label\n" + "".join(lines), encoding="utf-8")

    def written(patients: Sequence[str]) -> None:
        for number, (name, patient) in enumerate(zip(names, patients, strict=True)):
            write_dicom(ramp(seed=number), 12, PatientID=patient, name=f"images/{name}")

    written([f"P{number // 2}" for number in range(8)])
    with pytest.raises(SiteError, match=r"Patient IDs say that some patients have several images"):
        propose(tmp_path, table, Choices())
    assert columns(propose(tmp_path, table, Choices(patient="file")))[0] == "file"
    for patients in (["ANONYMOUS"] * 8, [f"P{number}" for number in range(8)]):
        written(patients)
        assert columns(propose(tmp_path, table, Choices()))[0] == "file"


def test_identifiers_of_readers_and_rows_are_no_patients(proposed: Callable[..., Proposal]) -> None:
    proposal = proposed(
        ["id", "image_id", "rad_id", "label"], lambda n: (n, FILES[n], f"R{n % 3}", n % 2)
    )
    assert columns(proposal) == ("image_id", "image_id", "label")


def test_identifiers_that_group_rows_may_be_patients(proposed: Callable[..., Proposal]) -> None:
    proposal = proposed(["study_id", "img", "label"], lambda n: (n // 2, FILES[n], n % 4 // 2))
    assert columns(proposal) == ("study_id", "img", "label")
    assert "may name examinations" in proposal.checks[0]


def test_patients_without_their_zeros_are_pointed_out(tmp_path: Path, write_png: WritePng) -> None:
    for number in range(8):
        write_png(tmp_path / "images" / f"{number:03d}.png", number)
    lines = (f"{number},{number % 2}" for number in range(8))
    (tmp_path / "labels.csv").write_text(
        "patient,bpd\n" + "\n".join(lines) + "\n", encoding="utf-8"
    )
    proposal = propose(tmp_path, tmp_path / "labels.csv", Choices())
    assert columns(proposal) == ("patient", None, "bpd")
    assert (proposal.found.rows_without_image, proposal.found.nearly_matched) == (8, 8)
    assert any("but for leading zeros" in sentence for sentence in proposal.checks)


@pytest.mark.parametrize(
    ("files", "head", "row", "said"),
    [
        ([f"P{n // 2}_{n % 2}.png" for n in range(12)], ["filename", "label"],
         lambda n: (f"P{n // 2}_{n % 2}.png", n % 2), "in training and in validation at once"),
        (FILES, ["pid", "img", "etiology"], lambda n: (n, FILES[n], ["viral", "bacterial"][n % 2]),
         "--positive VALUE"),
        (FILES, ["pid", "img", "sex"], lambda n: (n, FILES[n], "MF"[n % 2]),
         "--outcome COLUMN: 'sex'"),
        (FILES, ["pid", "img", "edema", "pneumonia"], lambda n: (n, FILES[n], n % 2, n % 3 % 2),
         "Several columns look like the outcome"),
        (FILES, ["a", "b", "bpd"], lambda n: (f"x{n}", f"y{n}", n % 2), "--image or --patient"),
        (FILES, ["P100", FILES[0], "no"], lambda n: (f"P{n}", FILES[n], ["no", "yes"][n % 2]),
         "no row that looks like the names"),
        (FILES, ["P100", "x", "no"], lambda n: (f"P{n}", FILES[n][:-4], ["no", "yes"][n % 2]),
         "looks like data"),
    ],
    ids=["several images a patient", "no word", "sex", "two outcomes", "no image", "no header",
         "no header and no suffix"],
)  # fmt: skip
def test_what_cannot_be_guessed_names_the_option(
    proposed: Callable[..., Proposal], files: list[str], head: list[str], row: Row, said: str
) -> None:
    with pytest.raises(SiteError, match=said):
        proposed(head, row, files=files)


def test_each_guess_can_be_corrected(proposed: Callable[..., Proposal]) -> None:
    proposal = proposed(
        ["pid", "other", "img", "bpd", "grade", "rds"],
        lambda n: (n, f"O{n // 2}", FILES[n], n % 2, 1 + n % 4 // 2, n % 3),
        name="south", patient="OTHER", image="img", outcome="grade", positive=("2",),
        covariate="rds",
    )  # fmt: skip
    assert columns(proposal) == ("other", "img", "grade")
    assert (classes(proposal).positive, classes(proposal).negative) == (("2",), ("1",))
    assert (proposal.settings.name, proposal.settings.covariate) == ("south", "rds")


def test_a_workbook_with_titles_and_another_sheet(tmp_path: Path, write_png: WritePng) -> None:
    book = openpyxl.Workbook()
    notes = book.active
    assert notes is not None
    notes.append(["Only a note"])
    sheet = book.create_sheet("data")
    sheet.append(["Cohort 2024"])
    sheet.append(["patient", "image", "weeks", "BPD"])
    for number, file in enumerate(FILES):
        write_png(tmp_path / "images" / file, number)
        sheet.append([number, file, 20 + number % 3, "ja" if number % 2 else "nein"])
    book.save(tmp_path / "cohort.xlsx")
    proposal = propose(tmp_path, tmp_path / "cohort.xlsx", Choices())
    assert columns(proposal) == ("patient", "image", "BPD")
    assert proposal.found.patients == (("positive", 6, 6), ("negative", 6, 6))
