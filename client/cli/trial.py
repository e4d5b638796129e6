"""`fedthaw site test`: all that `site run` needs, checked without starting it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from client.cli.options import CaOption, FolderArgument, InsecureOption, ServerOption
from client.cli.passphrase import PassphraseFileOption
from client.cli.passphrase import passphrase_file as named_file
from client.node.finding import Finding, note, right, wrong
from client.node.finding import waiting as waits
from shared.errors import FedThawError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    from client.node.home import SiteHome
    from client.settings import SiteSettings

_MARKS = {"ok": "OK", "note": "NOTE", "waiting": "WAITS", "wrong": "WRONG"}


def trial(
    folder: FolderArgument,
    server: ServerOption = None,
    ca: CaOption = None,
    passphrase_file: PassphraseFileOption = None,
    insecure: InsecureOption = False,
    notify: Annotated[
        bool, typer.Option("--notify", help="Send a test notification, as site.toml says.")
    ] = False,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print the findings as JSON.")
    ] = False,
) -> None:
    """Check all that `site run` needs, without starting it.

    Example: fedthaw site test hospitals/north

    Folder, key, the way to the coordinator (by the same proxies as `site run`), its certificate,
    the clocks, registration and approvals: a line each, and what to do. Exit code 1 if something is
    wrong. A plan that waits for approval is reported, but is not an error. The data are
    checked only briefly; `fedthaw site check` reads every image.
    """
    found = list(_findings(folder, server, ca, named_file(passphrase_file), insecure, notify))
    wrongs = sum(one.state == "wrong" for one in found)
    if json_output:
        typer.echo(json.dumps([asdict(one) for one in found], indent=1))
    else:
        for one in found:
            typer.echo(f"{_MARKS[one.state]:5}  {one.what:12}  {one.found}")
            if one.remedy:
                typer.echo(f"{'':21}{one.remedy[0].upper()}{one.remedy[1:].rstrip('.')}.")
        typer.echo(_result(found, folder))
    if wrongs:
        raise typer.Exit(1)


def _result(found: Sequence[Finding], folder: Path) -> str:
    states = [one.state for one in found]
    if wrongs := states.count("wrong"):
        return f"{wrongs} of {len(found)} checks found something wrong."
    waits = " Runs wait for the owner's approval." if "waiting" in states else ""
    command = f"fedthaw site run {shlex.quote(str(folder))}"
    return f"Nothing is wrong; `{command}` can be started.{waits}"


def _findings(
    folder: Path, server: str | None, ca: Path | None, file: Path | None, insecure: bool,
    notify: bool,
) -> Iterator[Finding]:  # fmt: skip
    """One after the other; what cannot be checked without another thing is passed over."""
    from client.node.enrolment import open_site_home
    from client.node.home import site_home
    from client.settings import load_site

    settings = None
    try:
        settings = load_site(folder)
    except FedThawError as error:
        yield wrong("site.toml", str(error), "")
    if settings is not None:
        yield _data(settings)
        yield from _sandbox(settings)
    try:
        home = open_site_home(site_home(folder), joined=False)
    except FedThawError as error:
        yield wrong("key", str(error), "")
        return
    key = None
    try:
        key = _open(home, file)
        yield _key(home)
    except (FedThawError, OSError) as error:
        yield wrong("key", str(error), "")
    yield from _coordinator(folder, home, server, ca, insecure, key)
    yield _approval(folder, home)
    if notify:
        yield _notification(folder)


def _data(settings: SiteSettings) -> Finding:
    """The images and the table, counted and not read."""
    from client.data.discover import find_images
    from client.data.labels import read_labels

    try:
        images = len(find_images(settings.images))
        table = read_labels(settings)
    except (FedThawError, OSError) as error:
        return wrong("data", str(error), "")
    patients = len({row.patient for row in table.rows})
    found = f"{images} image files; {len(table.rows)} rows of {patients} patients"
    check = f"`fedthaw site check {shlex.quote(str(settings.folder))}` says what can be used"
    if not images or not table.rows:
        return wrong("data", found, check)
    return right("data", f"{found}; {check}")


def _sandbox(settings: SiteSettings) -> Iterator[Finding]:
    from client.node.sandbox.rules import Confinement, require_sandbox, what_holds

    try:
        require_sandbox(settings)
    except FedThawError as error:
        yield wrong("sandbox", str(error), "")
        return
    if settings.sandbox == "off":
        yield note(
            "sandbox", "off, as site.toml says: a run's code can read all that this user can"
        )
    elif what_holds() == Confinement(files=True, network=True):
        yield right("sandbox", "a run's code is confined to this site's data and cache")
    else:
        yield note("sandbox", "this system cannot fully confine a run's code")


def _open(home: SiteHome, file: Path | None) -> EllipticCurvePrivateKey:
    from client.cli.run import open_key

    return open_key(home.key, file)[0]


def _key(home: SiteHome) -> Finding:
    from shared.deployment.keys import fingerprint
    from shared.storage.files import is_locked

    served = "; `fedthaw site run` is running with it" if is_locked(home.lock) else ""
    return right("key", fingerprint(home.public_key.read_text(encoding="utf-8")) + served)


def _coordinator(
    folder: Path, home: SiteHome, server: str | None, ca: Path | None, insecure: bool,
    key: EllipticCurvePrivateKey | None,
) -> Iterator[Finding]:  # fmt: skip
    from client.cli.run import authority_for, reach_loopback_directly
    from client.node.enrolment import read_server
    from client.node.reachable import check_authority, check_coordinator
    from shared.deployment.names import parse_address, to_address

    try:
        address = to_address(*parse_address(server)) if server else read_server(home)
        trusted = authority_for(folder, address, None if insecure else ca or home.authority)
        if trusted is not None:
            yield check_authority(trusted)
    except (FedThawError, OSError, ValueError) as error:
        yield wrong("coordinator", str(error), "")
        return
    reach_loopback_directly(address)
    yield from check_coordinator(address, trusted, key)


def _approval(folder: Path, home: SiteHome) -> Finding:
    from client.node.approvals import read_approvals
    from client.node.pending import undecided

    command = f"fedthaw site approve {shlex.quote(str(folder))}"
    try:
        waiting, approved = undecided(home), read_approvals(home)
    except FedThawError as error:
        return wrong("approval", str(error), "")
    if waiting:
        plans = ", ".join(one.plan[:12] for one in waiting[:5])
        return waits(
            "approval", f"{len(waiting)} waiting: {plans}",
            f"`{command}` shows what they do, `{command} PLAN` approves one, `fedthaw site revoke "
            f"{shlex.quote(str(folder))} PLAN` turns one down",
        )  # fmt: skip
    if not approved:
        return right(
            "approval", "nothing waits; nothing is approved yet, so the first run will ask"
        )
    return right("approval", f"nothing waits; {len(approved)} approved")


def _notification(folder: Path) -> Finding:
    from client.node.complaints import facts_of
    from client.settings import FAILED, read_notify, read_site_name
    from shared.deployment.notify import tell

    try:
        settings = read_notify(folder)
        facts = facts_of(read_site_name(folder), FAILED, "This is a test; nothing has failed.")
    except FedThawError as error:
        return wrong("notification", str(error), "")
    if not settings.command and not settings.webhook:
        return wrong(
            "notification",
            "nobody is notified",
            "add [notify] to site.toml with command or webhook",
        )
    complaints = tell(settings, FAILED, facts)
    return (
        wrong("notification", " ".join(complaints), "")
        if complaints
        else right("notification", "sent")
    )
