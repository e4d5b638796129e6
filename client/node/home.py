"""What lies where in a site's private folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from shared.audit.log import AuditLog

VARIABLE = "FEDTHAW_SITE_HOME"


@dataclass(frozen=True)
class SiteHome:
    """A site's private folder; only its owner may enter it."""

    path: Path

    @property
    def key(self) -> Path:
        """The site's private key."""
        return self.path / "key"

    @property
    def public_key(self) -> Path:
        """The site's public key, for the coordinator."""
        return self.path / "key.pub"

    @property
    def next_key(self) -> Path:
        """The private key that is to replace `key`; there while the coordinator enters it."""
        return self.path / "key.next"

    @property
    def next_public_key(self) -> Path:
        """The public key of `next_key`, for the coordinator."""
        return self.path / "key.next.pub"

    @property
    def old_key(self) -> Path:
        """The private key that was replaced last."""
        return self.path / "key.old"

    @property
    def authority(self) -> Path:
        """The certificate of the coordinator's authority."""
        return self.path / "ca.crt"

    @property
    def settings(self) -> Path:
        """The coordinator's address, as `read_server` reads it."""
        return self.path / "federation.json"

    @property
    def approved(self) -> Path:
        """The code and settings that may run here."""
        return self.path / "approved.json"

    @property
    def pending(self) -> Path:
        """What the coordinator has asked for and nobody has approved."""
        return self.path / "pending.json"

    @property
    def quota(self) -> Path:
        """How much was answered, per day and in all."""
        return self.path / "quota.json"

    @property
    def kept(self) -> Path:
        """What the working process keeps for good: the one folder here that it needs."""
        return self.path / "kept"

    @property
    def bundles(self) -> Path:
        """Bundles that were received."""
        return self.path / "bundles"

    @property
    def audit(self) -> AuditLog:
        """What was asked of this site and what it sent."""
        return AuditLog(self.path / "audit.jsonl")

    @property
    def lock(self) -> Path:
        """Held by the site's process."""
        return self.path / ".lock"

    @property
    def edit_lock(self) -> Path:
        """Held by a command while it changes a file here."""
        return self.path / ".edit.lock"


def site_home(folder: Path) -> SiteHome:
    """The private folder of the site in `folder`: `federation` there, or FEDTHAW_SITE_HOME."""
    own = os.environ.get(VARIABLE)
    path = Path(own) if own else folder / "federation"
    return SiteHome(Path(os.path.abspath(os.path.expanduser(path))))
