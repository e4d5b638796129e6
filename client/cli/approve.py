"""`fedthaw site approve` and `revoke`: what code the site's owner lets run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from client.node.approvals import approve as keep
from client.node.approvals import revoke as drop
from client.node.home import open_site_home, site_home
from shared.errors import SiteError

Folder = Annotated[Path, typer.Argument(help="The site's folder, with its site.toml.")]


def approve(
    folder: Folder,
    digest: Annotated[
        str | None,
        typer.Argument(metavar="[HASH]", help="The hash of the run's code, 64 hexadecimal digits."),
    ] = None,
    installed: Annotated[
        bool, typer.Option("--installed", help="The code of the fedthaw installed here.")
    ] = False,
    note: Annotated[str, typer.Option(help="Kept beside the hash, for yourself.")] = "",
) -> None:
    """Let the coordinator run code of this hash on this site's data; no other code runs.

    Example: fedthaw site approve hospitals/north --installed

    A running site takes it up with the next run.
    """
    from shared.bundle import build_bundle

    home = open_site_home(site_home(folder), joined=False)
    if (digest is not None) == installed:
        raise SiteError("Name what may run here: either HASH or --installed.")
    own = build_bundle().digest
    approved = own if digest is None else digest.lower()
    new = keep(home, approved, note)
    typer.echo(f"{'Approved' if new else 'Was approved already:'} {approved}")
    typer.echo(
        "It is the code of the fedthaw installed here."
        if approved == own
        else f"It is NOT the code of the fedthaw installed here, which is {own}. Look at the code "
        "before you let it run on your data, or take it back with `fedthaw site revoke`."
    )


def revoke(
    folder: Folder,
    digest: Annotated[str, typer.Argument(metavar="HASH", help="The hash that was approved.")],
) -> None:
    """Let code of this hash run here no longer.

    Example: fedthaw site revoke hospitals/north 5f0c...
    """
    drop(open_site_home(site_home(folder), joined=False), digest)
    typer.echo(f"Revoked {digest.lower()}; it runs here no longer.")
