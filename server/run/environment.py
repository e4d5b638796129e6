"""What the server process tells the process of a run, which Flower starts with settings alone."""

from __future__ import annotations

HOME_VARIABLE = "FEDTHAW_COORDINATOR"
"""The coordinator's folder."""
RUN_VARIABLE = "FEDTHAW_RUN_FOLDER"
"""The run's folder; never travels to a site."""
