"""Published weights for a process that has no network: fetched before it starts."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from client.node.calls import Stopped
from client.settings import load_site
from shared.errors import WeightsError
from shared.model.published import PUBLISHED_WEIGHTS
from shared.settings.setting import Scalar

_LOOK_SECONDS = 0.2


def fetch_weights(folder: Path, settings: Mapping[str, Scalar], stop: threading.Event) -> None:
    """Fetch the run's published weights where this machine lacks them, in a process of its own.

    It runs the installed FedThaw, not the bundle. Raises WeightsError, and Stopped where `stop` is
    set meanwhile.
    """
    weights, backbone = str(settings.get("weights", "")), str(settings.get("backbone", ""))
    if weights not in PUBLISHED_WEIGHTS or load_site(folder).weights is not None:
        return
    words = [weights, backbone, str(settings.get("weights-sha256", ""))]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", __name__, *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True,
    )  # fmt: skip
    with process:
        while process.poll() is None:
            if stop.wait(_LOOK_SECONDS):
                process.kill()
                raise Stopped("the site is shutting down")
        said = process.stdout.read().strip() if process.stdout else ""
    if process.returncode != 0:
        raise WeightsError(said or f"The weights {weights} could not be fetched.")


def main(words: list[str]) -> int:
    """Fetch; what went wrong is printed as a sentence."""
    from shared.errors import FedThawError
    from shared.model.registry import backbone_of
    from shared.model.sources import fetch_for

    weights, backbone, sha256 = words
    try:
        fetch_for(weights, backbone_of(backbone), sha256)
    except FedThawError as error:
        print(error)  # noqa: T201
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
