"""How the working process of one site is confined, as its owner and the system allow."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from client.node.home import SiteHome
from client.node.sandbox.confine import can_confine_network, landlock_version
from client.node.sandbox.reach import Reach, reach_of
from client.settings import SiteSettings, load_site
from shared.errors import SiteError
from shared.storage.files import make_private_folder

log = logging.getLogger("fedthaw.site")


@dataclass(frozen=True)
class Confinement:
    """What this system can keep a process from."""

    files: bool
    network: bool


def what_holds() -> Confinement:
    """What the kernel of this machine offers."""
    return Confinement(files=landlock_version() > 0, network=can_confine_network())


def require_sandbox(settings: SiteSettings) -> None:
    """Log for the site's owner what the bundle's code can reach here.

    SiteError where site.toml requires a sandbox that the system does not have.
    """
    holds = what_holds()
    if settings.sandbox == "off":
        log.warning("The sandbox is off: a bundle's code can read all that this user can.")
    elif holds.files and holds.network:
        log.info("A bundle's code reaches this site's data and cache, not its key, and no network.")
    elif settings.sandbox == "required":
        raise SiteError(
            f"{settings.folder}: sandbox in [policy] is 'required', but this system lacks part of "
            f"it ({_missing(holds)}); use Linux 5.13 or later on x86-64 or 64-bit Arm, or set it "
            "to 'auto'.",
            shareable="it requires a sandbox that its system does not fully have",
        )
    else:
        log.warning(
            "This system cannot fully confine a bundle's code (%s); read what you "
            "approve all the more carefully.", _missing(holds),
        )  # fmt: skip


def reach_for(folder: Path, home: SiteHome, room: Path) -> Reach | None:
    """What a process that works in `room` may reach; None for anything.

    Raises SiteError as `load_site`.
    """
    settings = load_site(folder)
    if settings.sandbox == "off" or what_holds() == Confinement(files=False, network=False):
        return None
    for needed in (settings.cache, home.kept):
        with suppress(OSError):  # the site's process says what is wrong with it
            make_private_folder(needed)
    return reach_of(settings, room, home.kept, home.path)


def _missing(holds: Confinement) -> str:
    parts = {"no landlock for files": holds.files, "no filter for the network": holds.network}
    return ", ".join(name for name, there in parts.items() if not there)
