"""Words by which columns and outcomes of a table are recognised, in the usual languages."""

from __future__ import annotations

import re
import unicodedata

from client.declared import normalised_value


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NEGATION = _words(
    "no non not none without never kein keine keinen nicht ohne sans pas sin senza geen"
)
_NEGATIVE = _words(
    "0 n negative negativ negatif negativo neg normal normals healthy gesund sano sain control "
    "controls kontrolle false absent absence benign benigne unremarkable unauffaellig "
    "unauffallig nein nao nee clear ctrl wnl falsch"
)
_POSITIVE = _words(
    "1 y yes ja oui si sim positive positiv positif positivo pos true present presence abnormal "
    "pathological pathologisch diseased disease sick ill krank case cases affected malignant "
    "maligne severe schwer moderate mittel wahr vorhanden"
)
_CONDITION = re.compile(
    r"\b(bpd|rds|irds|covid|tb|ards|pe)\b|pneumon|pneumothora|edema|oedem|effusion|ergu[sß]+|"
    r"cardiomegal|kardiomegal|tubercul|tuberkul|fractur|fraktur|atelecta|atelekt|nodul|mass\b|"
    r"cancer|carcinom|karzinom|tumou?r|consolidation|infiltrat|emphysem|fibros|hernia|opacit|"
    r"lesion|dysplasi|silicos|bronchi|viral|bacterial|virus|bacteria"
)
# Graded words: the cut between the last negative and the first positive is a guess.
_GRADES = {
    "mild": 1, "leicht": 1, "light": 1, "minimal": 1, "slight": 1, "leger": 1, "leve": 1,
    "moderate": 2, "mittel": 2, "maessig": 2, "massig": 2, "modere": 2, "moderada": 2,
    "severe": 3, "schwer": 3, "grave": 3, "heavy": 3,
}  # fmt: skip
_UNKNOWN = _words(
    "unknown unclear uncertain unbekannt unklar unsicher indeterminate equivocal possible "
    "questionable na nan null ? missing -1 inconnu pending tbd excluded invalid unspecified "
    "undetermined"
)
_MISSING_MARKS = frozenset({"", "?", "-", "--", "na", "nan", "null", "<na>", "nat", "."})
# `N/A`, `n.a.` and `#N/A`, as `plain` writes them: its `n` alone would be a no.
_NOT_AVAILABLE = "n a"
_SPREADSHEET_ERROR = re.compile(r"#[a-z0-9/]+[!?]")

OUTCOME_NAME = re.compile(
    r"label|class|klasse|target|outcome|diagnos|finding|befund|result|ground ?truth|disease|"
    r"ergebnis|etiolog|aetiolog|patholog|condition|status|grade|severity|schweregrad"
)
GRADE_NAME = re.compile(r"grade|grading|\bgrad\b|stage|stadium|severity|schweregrad|level|score")
NOT_OUTCOME_NAME = re.compile(
    r"\b(sex|gender|geschlecht|age|alter|view|position|projection|date|datum|time|year|site|"
    r"hospital|klinik|device|scanner|manufacturer|vendor|modality|split|fold|set|subset|partition|"
    r"index|width|height|laterality|side|seite|weight|gewicht|race|ethnicity|reader|rater|center|"
    r"centre|room|source|quality|born|birth|study|series|image|file|frontal|ap pa|orientation|"
    r"folder|comment|note|unnamed|usage)\b"
)
PATIENT_NAME = re.compile(
    r"patient|subject|proband|person\b|\bpat\b|\bpid\b|\bmrn\b|\bcase\b|\bfall\b|participant|"
    r"infant|\bchild\b|\bbaby\b|\bempi\b|pseudonym|\bpatientin\b|paciente|paziente"
)
NOT_PATIENT_NAME = re.compile(
    r"\b(age|alter|sex|gender|geschlecht|weight|height|birth|position|orientation|name of|type|"
    r"class|status|count|number of|date|image|file|series|rad|radiologist|reader|rater|device|site|"
    r"hospital|center|centre|label|row|index)\b"
)
EXAMINATION_NAME = re.compile(r"\b(study|exam|examination|accession|visit|studie|untersuchung)\b")
CLINICAL_NAME = re.compile(
    r"\b(age|alter|weight|gewicht|height|birth|gestation|weeks|days|score|apgar|hours|bmi)\b"
)
IDENTIFIER_NAME = re.compile(r"\b(id|ids|nr|number|nummer|code|key|identifier)\b")
IMAGE_NAME = re.compile(
    r"image|img|file|bild|datei|path|pfad|dicom|dcm|png|jpe?g|radiograph|x ?ray|roentgen|"
    r"rontgen|filename|photo|picture|scan\b|sop instance"
)


def plain(text: str) -> str:
    """The text in lower case, without accents, its words apart: `BPD_Grade` is `bpd grade`."""
    text = re.sub(r"(?<=[a-zà-ÿ])(?=[A-Z])", " ", text)
    text = text.casefold().replace("ä", "ae").replace("ö", "oe").replace("ü", "ue")
    bare = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    return " ".join(re.sub(r"[\W_]+", " ", bare).split())


def is_known_name(name: str) -> bool:
    """Whether a column may well be called so."""
    known = (PATIENT_NAME, IMAGE_NAME, OUTCOME_NAME, NOT_OUTCOME_NAME, IDENTIFIER_NAME)
    return any(pattern.search(plain(name)) for pattern in known)


def is_condition(text: str) -> bool:
    """Whether it names a disease or a finding."""
    return bool(_CONDITION.search(plain(text)))


def grade_of(value: str) -> int | None:
    """1 mild, 2 moderate, 3 severe; None for other words."""
    found = grades_in(value)
    return found[0] if len(found) == 1 else None


def grades_in(value: str) -> list[int]:
    """The grade of each graded word of it."""
    return [_GRADES[word] for word in plain(value).split() if word in _GRADES]


def is_unknown(value: str) -> bool:
    """Whether the value says that nobody knows; -1 does where 0 and 1 are the classes."""
    text, words = normalised_value(value), plain(value)
    return (
        text in _MISSING_MARKS
        or text in _UNKNOWN
        or words == _NOT_AVAILABLE
        or _SPREADSHEET_ERROR.fullmatch(text) is not None
        or bool(set(words.split()) & _UNKNOWN)
    )


def meaning_of(value: str, column: str) -> bool | None:
    """True where the value says that the finding is there, False that it is not, else None.

    `column` is its column's name: the value `BPD` in the column `bpd` is positive.
    """
    words = plain(value).split()
    if not words:
        return {"+": True, "-": False}.get(value.strip())
    negated = any(word in _NEGATION for word in words)
    rest = [word for word in words if word not in _NEGATION]
    if negated:
        return bool(set(rest) & _NEGATIVE - {"0", "n"})
    negative, positive = bool(set(rest) & _NEGATIVE), bool(set(rest) & _POSITIVE)
    if negative != positive:
        return positive
    if is_condition(value) or plain(column) == plain(value):
        return True
    return None
