"""The report that a run leaves by itself when it has ended."""

from __future__ import annotations

from pathlib import Path

from shared.events import Warned, emit


def leave_report(run: Path) -> None:
    """Write report.html into a run's folder; what goes wrong is said and costs the run nothing."""
    try:
        # Imported when the run is over: a run does not carry a drawing library in its memory.
        from server.report.write import write_report

        write_report(run)
    except Exception as error:
        emit(
            Warned(
                f"The run is complete, but its report could not be written ({error}); `fedthaw "
                f"report {run}` tries again."
            )
        )
