"""`fedthaw site import`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from client.importing.labelled_images import LabelledImages


FilesArgument = Annotated[
    list[Path],
    typer.Argument(
        help="IDX images and IDX labels (.gz too), CIFAR's .bin, or a folder with a "
        "subfolder of images for each class."
    ),
]
UnequalOption = Annotated[
    float | None,
    typer.Option(
        min=0.01,
        max=1000,
        help="With --sites: each class is split by a Dirichlet distribution of this "
        "concentration (0.5 is very unequal); default: equally.",
    ),
]


def import_images(
    folder: Annotated[Path, typer.Argument(help="The folder to make.")],
    files: FilesArgument,
    classes: Annotated[
        str, typer.Option(help="Only these classes, by number or name, e.g. 3,5.")
    ] = "",
    names: Annotated[
        str, typer.Option(help="The classes' names, in the order of their numbers.")
    ] = "",
    skip: Annotated[int, typer.Option(min=0, help="Skip this many images first.")] = 0,
    most: Annotated[int, typer.Option(min=1, help="Use at most this many images.")] = 10_000_000,
    sites: Annotated[
        int, typer.Option(min=1, max=1000, help="Split into this many sites, a subfolder each.")
    ] = 1,
    unequal: UnequalOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split into sites.")] = 0,
) -> None:
    """Make a site's images and table from MNIST's, Fashion-MNIST's or CIFAR's files, or a folder.

    Example: fedthaw site import digits train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz
    --classes 3,5 --most 1000

    Each image is a patient; one below 32 x 32 pixels is padded with black to that size. With three
    classes or more, a site.toml is written that declares them; with two, `fedthaw site new`
    proposes one.
    """
    from client.imaging.facts import MINIMUM_SIDE
    from client.importing.choose import chosen_classes, class_names, class_order
    from client.importing.deal import deal_images
    from client.importing.folders import classes_of
    from client.importing.write import read_labelled_images

    named = class_names(names) or (classes_of(files[0]) if files[0].is_dir() else {})
    wanted = chosen_classes(classes, named)
    images = read_labelled_images(files)
    if wanted:
        images = images.of_classes(wanted)
    images = images.part(skip, most).padded(MINIMUM_SIDE)
    order = class_order(images.labels.tolist(), named)  # of all sites, as these must agree
    dealt = deal_images(images, sites, unequal, seed) if sites > 1 else [images]
    for number, own in enumerate(dealt, start=1):
        _write(folder / f"site{number}" if sites > 1 else folder, own, named, order)


def _write(
    folder: Path, images: LabelledImages, names: Mapping[int, str], order: Sequence[str]
) -> None:
    """`order` are all sites' classes: one that a site has nobody of is declared as well."""
    from client.importing.write import TABLE, write_site_folder, write_site_toml

    counts = write_site_folder(folder, images, names)
    for name, number in counts.items():
        typer.echo(f"class {name}: {number:,}")
    site, table = (shlex.quote(str(path)) for path in (folder, folder / TABLE))
    following = f"fedthaw site new {site} --from {table}"
    if write_site_toml(folder, order):
        colour = " --image-colour rgb" if images.pixels.ndim == 4 else ""
        following = f"fedthaw site check {site} --image-size {images.pixels.shape[1]}{colour}"
    typer.echo(f"{sum(counts.values()):,} images and {TABLE} in {folder}. Next: {following}")
