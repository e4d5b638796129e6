"""What a radiograph shows, by what its header says: which part of the body, from where.

Free text (a series' description) may name a patient, so that only what it says of the body part
and of the view is kept of it, as words of this module.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from pydicom.dataset import Dataset

from client.imaging.facts import ImageFacts

RADIOGRAPHY = frozenset({"CR", "DX", "DR", "RG"})
FRONTAL, CHEST = "frontal", "chest"
_VIEWS = {
    "decubitus": "decubitus decub liegend",
    "oblique": "oblique oblik schraeg schrag llo rlo lao rao lpo rpo obl",
    "lateral": "lateral laterale laterales lateraal lat ll rl seitlich seitl profil",
    FRONTAL: "ap pa frontal face anteroposterior posteroanterior antero postero",
}
_WORD_VIEWS = {word: view for view, words in _VIEWS.items() for word in words.split()}
_SPINE = re.compile(r"spine|wirbel|\b[bchlt]ws\b|lumbar|vertebr|columna|rachis")
_CHEST = re.compile(
    r"chest|thora|torax|torace|\bthx\b|\bcxr\b|\blung(s|e)?\b|pulm|poumon|\bpecho\b|borstkas"
)
_PARTS = re.compile(
    r"abdom|babygram|pelvis|becken|bassin|skull|schaedel|schadel|crane|\bhead\b|kopf|\bneck\b|"
    r"\bhals\b|cervical|sacrum|shoulder|schulter|epaule|elbow|"
    r"ellenbogen|\bhand\b|wrist|handgelenk|finger|thumb|\bhip\b|huefte|hufte|\bknee\b|\bknie\b|"
    r"genou|\bfoot\b|\bfuss\b|\bpied\b|ankle|femur|tibia|fibula|humerus|forearm|unterarm|"
    r"\bleg\b|\barm\b|extremity|clavicle|\bribs?\b|breast|mamma|dental|\bteeth\b|patella|scapula"
)
_DESCRIPTIONS = ("SeriesDescription", "AcquisitionDeviceProcessingDescription", "ProtocolName")
# A study may have images of several views.
_OF_STUDY = ("PerformedProcedureStepDescription", "StudyDescription")
_CODES = ("ViewCodeSequence", "AnatomicRegionSequence")


def described_subject(header: Dataset) -> tuple[str | None, str | None]:
    """View and body part as codes and descriptions have them (PS3.3 C.8.11.5, C.7.3.1)."""
    own = [*_meanings(header), *(str(header.get(name) or "") for name in _DESCRIPTIONS)]
    study = (str(header.get(name) or "") for name in _OF_STUDY)
    view = next(filter(None, map(view_in, own)), None)
    return view, next(filter(None, map(part_in, (*own, *study))), None)


def _meanings(header: Dataset) -> Iterator[str]:
    for name in _CODES:
        for item in header.get(name) or ():
            yield str(item.get("CodeMeaning") or "")


def view_in(text: str) -> str | None:
    """`frontal`, `lateral`, `oblique` or `decubitus`; None where the text says none, or several."""
    words = _plain(text).split()
    views = {_WORD_VIEWS[word] for word in words if word in _WORD_VIEWS}
    if "decubitus" in views:  # whose full name is lateral decubitus
        return "decubitus"
    return views.pop() if len(views) == 1 else None


def part_in(text: str) -> str | None:
    """`chest` where the text names it, else another part of the body that it names, or None."""
    plain = _plain(text)
    if _SPINE.search(plain):  # the thoracic one too
        return "spine"
    if _CHEST.search(plain):
        return CHEST
    found = _PARTS.search(plain)
    return found[0] if found else None


def _plain(text: str) -> str:
    """In lower case without accents; `p.a.` is one word, all other punctuation becomes blanks."""
    text = text.casefold().replace(".", "").replace("ä", "ae").replace("ü", "ue").replace("ö", "oe")
    bare = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    return re.sub(r"[^a-z]+", " ", bare)


def other_than_frontal_chest(facts: ImageFacts) -> Iterator[str]:
    """What of its header says that an image is no frontal radiograph of a chest.

    The elements made for it count before descriptions, of which the body part is looked at even so:
    devices write `CHEST` into every image.
    """
    if facts.view is not None:
        if view_in(facts.view) != FRONTAL:
            yield f"view {facts.view}"
    elif facts.described_view not in (None, FRONTAL):
        yield f"{facts.described_view} by its description"
    if facts.modality is not None and facts.modality.upper() not in RADIOGRAPHY:
        yield f"modality {facts.modality}"
    if facts.body_part is not None and part_in(facts.body_part) != CHEST:
        yield f"body part {facts.body_part}"
    elif facts.described_part not in (None, CHEST):
        yield f"{facts.described_part} by its description"


def not_stated(facts: ImageFacts) -> Iterator[str]:
    """What the file does not say, so that `other_than_frontal_chest` cannot judge it."""
    if facts.view is None and facts.described_view is None:
        yield "view"
    if facts.body_part is None and facts.described_part is None:
        yield "body part"
    if facts.modality is None:
        yield "modality"
