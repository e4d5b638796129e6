"""The console script: it imports nothing before Ctrl-C is taken care of."""

from __future__ import annotations

import sys


def main() -> None:
    """Run `fedthaw`; Ctrl-C while its own modules are imported ends it with a sentence, too."""
    try:
        from shared.terminal.cli import main as command
    except KeyboardInterrupt:
        sys.stderr.write("fedthaw: Interrupted.\n")
        sys.exit(130)
    command()
