"""`fedthaw server notify`: try what `server run` does when a run has failed."""

from __future__ import annotations

import typer

from server.cli.options import COORDINATOR, HomeOption
from shared.errors import ConfigError, FedThawError


def notify(home: HomeOption = COORDINATOR) -> None:
    """Send a test notification like that of a failed run.

    Example: fedthaw server notify --home coordinator

    The file notify.toml in the coordinator's folder names a command, a webhook or both. When a run
    has failed, `server run` gives them its name, its state and the reason: the command in
    FEDTHAW_RUN, FEDTHAW_STATE and FEDTHAW_REASON and as JSON on its standard input, the webhook as
    JSON by POST.
    """
    from server.link.folder.home import open_home
    from server.link.notices import facts_of, read_notify
    from shared.deployment.notify import tell

    opened = open_home(home)
    settings = read_notify(opened)
    if not settings.command and not settings.webhook:
        raise ConfigError(
            f"Nobody is notified: write {opened.notify} with a line such as "
            'command = "/usr/local/bin/mail-it" or webhook = "https://chat.example.org/hook".'
        )
    facts = facts_of("test", "failed", "This is a test; no run has failed.")
    if complaints := tell(settings, "failed", facts):
        raise FedThawError(" ".join(complaints))
    ways = [settings.command[0]] if settings.command else []
    ways += ["the webhook"] if settings.webhook else []
    typer.echo(f"Notified by {' and '.join(ways)}. Sent for runs that are: "
               f"{', '.join(sorted(settings.on))}.")  # fmt: skip
