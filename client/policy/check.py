"""What handlers call before they train or answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from client.policy.cohort import refused_evaluation, refused_training
from client.policy.refusal import PolicyError, Refusal
from client.policy.settings import refused_settings
from client.workspace import Part, Workspace, tell_owner, training_samples
from shared.config import RunConfig
from shared.errors import ProtocolError
from shared.protocol.evaluate import Scope
from shared.schedule import Plan, plan_round, total_rounds


def check_run(workspace: Workspace, config: RunConfig, *, tell: bool = False) -> None:
    """PolicyError where a rule of the site refuses this run.

    In a simulation, whose owner the rules protect from nobody, only rules that site.toml itself
    gives refuse; with `tell` what deployed sites would refuse is said once.
    """
    samples = training_samples(workspace, config)
    for part in workspace.parts:
        policy = part.settings.policy
        refusals = [
            *refused_settings(policy, config),
            *refused_training(policy, config, samples.train),
            *refused_evaluation(policy, "validation", samples.validation),
            *refused_evaluation(policy, "test fold", samples.test),
        ]
        _judge(workspace, part, refusals, tell=tell)


def check_settings(workspace: Workspace, config: RunConfig) -> None:
    """As `check_run`, of the settings alone: for questions about runs that were evaluated."""
    for part in workspace.parts:
        refusals = refused_settings(part.settings.policy, config)
        _judge(workspace, part, refusals, tell=False)


def check_external(workspace: Workspace) -> None:
    """PolicyError where the site's patients are not for evaluation as a whole."""
    for part in workspace.parts:
        if not part.settings.policy.external_evaluation:
            refusal = Refusal("external-evaluation", "false", "all patients")
            _judge(workspace, part, [refusal], tell=False)


def check_held_out(workspace: Workspace, patients: int, scope: Scope) -> None:
    """PolicyError where a question is about fewer patients than may be evaluated."""
    for part in workspace.parts:
        least = part.settings.policy.least_held_out_patients
        if 0 < patients < least:
            refusal = Refusal("least-held-out-patients", str(least), None, f"{scope}: {patients}")
            _judge(workspace, part, [refusal], tell=False)


def require_planned(workspace: Workspace, config: RunConfig, plan: Plan) -> None:
    """ProtocolError where a deployed site is asked for another round than its settings imply.

    What its owner approved are settings; a plan that departs from them was approved by nobody.
    """
    if not workspace.deployed:
        return
    if plan.round > total_rounds(config) or plan != plan_round(config, plan.round):
        raise ProtocolError(f"the plan of round {plan.round} is not that of the run's settings")


def _judge(workspace: Workspace, part: Part, refusals: Sequence[Refusal], *, tell: bool) -> None:
    policy, name = part.settings.policy, part.settings.name
    deployed = workspace.deployed
    if binding := [one for one in refusals if policy.binds(one.rule, deployed=deployed)]:
        raise PolicyError(name, binding)
    if tell and refusals:
        tell_owner(name, would_refuse(refusals))


def would_refuse(refusals: Iterable[Refusal]) -> str:
    """What a simulation says of rules that a deployed site keeps."""
    told = "; ".join(one.full() for one in refusals)
    return f"A deployed site with the default policy would refuse this run: {told}."
