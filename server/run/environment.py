"""What the server process passes to a run's process, which Flower starts with settings alone."""

from __future__ import annotations

HOME_VARIABLE = "FEDTHAW_COORDINATOR"
"""The coordinator's folder."""
RUN_VARIABLE = "FEDTHAW_RUN_FOLDER"
"""The run's folder; never travels to a site."""
