"""Images as a site's folder has them: an image file each, and a table."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PIL import Image

from client.importing.cifar import read_cifar
from client.importing.folders import read_folder
from client.importing.idx import is_idx, read_idx_pair
from client.importing.labelled_images import LabelledImages
from client.site_file import FILE_NAME
from shared.deployment.names import is_site_name
from shared.errors import ConfigError, SiteError
from shared.outcome.registry import outcome_of
from shared.storage.files import write_atomically, write_text_atomically

IMAGES, TABLE = "images", "labels.csv"


def read_labelled_images(files: Sequence[Path]) -> LabelledImages:
    """IDX images and IDX labels, in either order, CIFAR's files, or a folder for each class.

    SiteError where a file is missing, damaged, or of another kind.
    """
    if any(path.is_dir() for path in files):
        if len(files) > 1:
            raise SiteError("A folder of images is imported alone; name no other.")
        return read_folder(files[0])
    for path in files:
        if not path.is_file():
            raise SiteError(f"There is no file at {path}; check the name.")
    kinds = [is_idx(path) for path in files]
    if not any(kinds):
        return read_cifar(files)
    if len(files) != 2 or not all(kinds):
        raise SiteError(
            "IDX files come in pairs, one of images and one of labels; name these two alone."
        )
    return read_idx_pair(*files)


_TEMPLATE = """\
# Written by `fedthaw site import`. What can be used: `fedthaw site check`.

[site]
name = {name}

[data]
images = "{images}"
labels = "{table}"
patient = "patient"
image = "image"
outcome = "class"

# The classes, all sites' in the same order, and the values that mean them. Of two classes alone:
# positive = [...] and negative = [...] in [data], without this section.
[data.classes]
{classes}
"""


def write_site_toml(folder: Path, classes: Sequence[str]) -> bool:
    """Write a site.toml that declares three classes or more; False, and nothing, for fewer.

    Also for names that an outcome cannot have, and where there is a site.toml already.
    """
    own = folder.absolute().name
    name = own if is_site_name(own) else "site"
    try:
        outcome_of("classes", classes)
    except ConfigError:
        return False
    path = folder / FILE_NAME
    if len(classes) < 3 or path.exists():
        return False
    # As they are: JSON escapes what is beyond 16 bits in two halves, which TOML refuses.
    quoted = [json.dumps(one, ensure_ascii=False) for one in classes]
    text = _TEMPLATE.format(
        name=json.dumps(name), images=IMAGES, table=TABLE,
        classes="\n".join(f"{one} = [{one}]" for one in quoted),
    )  # fmt: skip
    write_text_atomically(path, text)
    return True


def write_site_folder(
    folder: Path,
    images: LabelledImages,
    names: Mapping[int, str],
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> Mapping[str, int]:
    """Write `images/NNNNN.png` and `labels.csv`, each image a patient; images of each class.

    `names` has the classes' names; without one a class is its number. SiteError where there are no
    images, or the folder has images or a table already.
    """
    image_folder, table = folder / IMAGES, folder / TABLE
    if not len(images.labels):
        raise SiteError("No image is left; check --classes, --skip and --most.")
    for path in (image_folder, table):
        if path.exists():
            raise SiteError(f"{path} already exists; name a new folder.")
    image_folder.mkdir(parents=True)
    classes = [names.get(label, str(label)) for label in images.labels.tolist()]
    for place, pixels in enumerate(images.pixels):
        Image.fromarray(pixels).save(image_folder / f"{place:05d}.png")
        on_image(place + 1, len(classes))

    def write(path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(["patient", "image", "class"])
            rows.writerows(
                (f"P{place:05d}", f"{place:05d}.png", name) for place, name in enumerate(classes)
            )

    write_atomically(table, write)  # last: a folder without it is not complete
    return dict(sorted(Counter(classes).items()))
