"""FedThaw in a notebook: what the commands do, as functions with typed results.

    import fedthaw

    run = fedthaw.simulate(["north", "east", "south"], out="runs/first", rounds=20)
    run.validation.pooled.auroc, run.validation.pooled.auroc_ci95
    (external,) = fedthaw.evaluate(run, ["external"])
    fedthaw.predict(run, ["new/0001.dcm"]).patients

The import is light: PyTorch and Flower are loaded by the first call that needs them. What cannot
be done raises FedThawError with the sentence that the command would print.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from client.predict.scores import ImageScore, PatientScore, Prediction
    from fedthaw.ending import RunEnd
    from fedthaw.inference import Evaluation, Evaluations, evaluate, predict
    from fedthaw.run import Cohort, Round, Run, open_run
    from fedthaw.simulation import simulate
    from fedthaw.studies import Study, open_study, study
    from server.results.external import ClassPerformance, Performance, SubgroupOutcome
    from server.results.plan import Arm
    from server.results.study import ArmResult, ClassArm, Comparison
    from shared.errors import (
        ConfigError,
        FedThawError,
        RunError,
        SiteError,
        UserError,
        WeightsError,
    )
    from shared.metrics.classes.results import (
        ClassMetrics,
        ClassResult,
        CutResult,
        LabelMetrics,
    )
    from shared.metrics.summary import BinaryMetrics
    from shared.run.events import RoundFinished, RunStarted, Warned
    from shared.settings.config import RunConfig

__all__ = [
    "Arm",
    "ArmResult",
    "BinaryMetrics",
    "ClassArm",
    "ClassMetrics",
    "ClassPerformance",
    "ClassResult",
    "Cohort",
    "Comparison",
    "ConfigError",
    "CutResult",
    "Evaluation",
    "Evaluations",
    "FedThawError",
    "ImageScore",
    "LabelMetrics",
    "PatientScore",
    "Performance",
    "Prediction",
    "Round",
    "RoundFinished",
    "Run",
    "RunConfig",
    "RunEnd",
    "RunError",
    "RunStarted",
    "SiteError",
    "Study",
    "SubgroupOutcome",
    "UserError",
    "Warned",
    "WeightsError",
    "evaluate",
    "open_run",
    "open_study",
    "predict",
    "simulate",
    "study",
]

_PLACES = {
    "client.predict.scores": ("ImageScore", "PatientScore", "Prediction"),
    "fedthaw.ending": ("RunEnd",),
    "fedthaw.inference": ("Evaluation", "Evaluations", "evaluate", "predict"),
    "fedthaw.run": ("Cohort", "Round", "Run", "open_run"),
    "fedthaw.simulation": ("simulate",),
    "fedthaw.studies": ("Study", "open_study", "study"),
    "server.results.external": ("ClassPerformance", "Performance", "SubgroupOutcome"),
    "server.results.plan": ("Arm",),
    "server.results.study": ("ArmResult", "ClassArm", "Comparison"),
    "shared.settings.config": ("RunConfig",),
    "shared.errors": (
        "ConfigError", "FedThawError", "RunError", "SiteError", "UserError", "WeightsError",
    ),
    "shared.run.events": ("RoundFinished", "RunStarted", "Warned"),
    "shared.metrics.classes.results": (
        "ClassMetrics", "ClassResult", "CutResult", "LabelMetrics",
    ),
    "shared.metrics.summary": ("BinaryMetrics",),
}  # fmt: skip
_MODULES = {name: module for module, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'fedthaw' has no attribute '{name}'")
    value = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
