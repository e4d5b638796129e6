"""What handlers ask before they train or answer: the rules that need the site's data, too."""

from __future__ import annotations

from collections.abc import Sequence

from client.data.admission import require_trainable, shareably
from client.data.dataset import Sample, batch_positions, steps_of_round
from client.part import Part, TrainingSamples, tell_owner
from client.policy.refusal import PolicyError, Refusal, numbers
from client.policy.rules import Policy
from client.policy.settings import refused_settings
from client.workspace import Workspace, network_of, training_samples
from shared.errors import ProtocolError, SiteError
from shared.model.manifest import sizes_of_units
from shared.protocol.evaluate import Scope
from shared.protocol.graded import Graded
from shared.settings.config import RunConfig
from shared.settings.schedule import Plan, allows, may_end


def check_run(workspace: Workspace, config: RunConfig, *, report: bool = False) -> None:
    """PolicyError where a rule of the site refuses this run.

    In a simulation, whose owner the rules protect from nobody, only rules that site.toml itself
    gives refuse; with `report` the owner reads what a deployed site would refuse.
    """
    samples = training_samples(workspace, config)
    for part in workspace.parts:
        refusals = _refusals(part.settings.policy, config, samples)
        _require(workspace, part, refusals)
        if report and not workspace.deployed and not config.pooled:
            _report_refusals(part, config)


def _refusals(policy: Policy, config: RunConfig, samples: TrainingSamples) -> list[Refusal]:
    return [
        *refused_settings(policy, config),
        *refused_training(policy, config, samples.train),
        *refused_evaluation(policy, "validation", samples.validation),
        *refused_evaluation(policy, "test fold", samples.test),
    ]


def _report_refusals(part: Part, config: RunConfig) -> None:
    """Say what the rules would refuse, with the split that they would ask for."""
    try:
        refusals = _refusals(
            part.settings.policy, config, part.samples_of(part.deployed_split(config))
        )
    except PolicyError as error:
        refusals = list(error.refusals)
    if refusals:
        refused = "; ".join(one.full() for one in refusals)
        tell_owner(part.settings.name, f"Deployed, this site would refuse the run: {refused}.")


def check_settings(workspace: Workspace, config: RunConfig) -> None:
    """`check_run` for the settings alone: for questions about runs that were evaluated before."""
    for part in workspace.parts:
        refusals = refused_settings(part.settings.policy, config)
        _require(workspace, part, refusals)


def check_external(workspace: Workspace) -> None:
    """PolicyError where the site's patients are not for evaluation as a whole, or are too few.

    SiteError where a deployed site must make whole blocks of its patients and has not, since
    admission found a problem: which images it admits depends on the run's settings, too.
    """
    for part in workspace.parts:
        if not part.settings.policy.external_evaluation:
            refusal = Refusal("external-evaluation", "false", "all patients")
            _require(workspace, part, [refusal])
        if workspace.deployed:
            _require_blocks(part)
            everybody = part.samples(part.usable())
            _require(workspace, part, refused_evaluation(part.settings.policy, "all", everybody))


def _require_blocks(part: Part) -> None:
    if part.dealing is None and part.settings.policy.least_difference > 1:
        with shareably(part.admission.report):
            require_trainable(part.admission)


def check_held_out(workspace: Workspace, patients: int, scope: Scope) -> None:
    """PolicyError where a question is about fewer patients than may be evaluated."""
    for part in workspace.parts:
        least = part.settings.policy.least_held_out_patients
        if 0 < patients < least:
            refusal = Refusal("least-held-out-patients", str(least), None, f"{scope}: {patients}")
            _require(workspace, part, [refusal])


def unless_few(workspace: Workspace, graded: Graded | None) -> Graded | None:
    """The counts by grade, None where fewer patients have one than may be evaluated."""
    patients = 0 if graded is None else sum(graded.grades.totals)
    for part in workspace.parts:
        policy, rule = part.settings.policy, "least-held-out-patients"
        if patients < policy.least_held_out_patients and policy.binds(
            rule, deployed=workspace.deployed
        ):
            return None
    return graded


def require_planned(workspace: Workspace, config: RunConfig, plan: Plan) -> None:
    """ProtocolError where a deployed site is asked for another round than its settings imply.

    What its owner approved are settings; a plan that departs from them was approved by nobody. Of a
    round that is decided as the run goes, these are its limits.
    """
    if not workspace.deployed:
        return
    network = network_of(workspace, config)
    if not allows(config, plan, sizes_of_units(network, config.batch_norm)):
        raise ProtocolError(f"the plan of round {plan.round} is not that of the run's settings")


def require_end(
    workspace: Workspace, config: RunConfig, after_round: int, thawed: tuple[str, ...]
) -> None:
    """ProtocolError where a deployed site is asked about a model that no such run ends with.

    A network that is the coordinator's own throughout could count anything that images show.
    """
    if workspace.deployed and not may_end(config, after_round, thawed):
        raise ProtocolError("the model asked about is not one that the run's settings allow")


def require_maps_to_normalise(
    workspace: Workspace, config: RunConfig, plan: Plan, train: Sequence[Sample]
) -> None:
    """SiteError where a stage trains on a single image and its maps are single values.

    With batches of one image at every site the settings are refused (`RunConfig`).
    """
    network, side = config.network, config.image_size
    if len(train) > 1 or config.batch_norm == "frozen" or side > network.single_up_to:
        return
    if network.units_of([network.last_maps]) & network.units_of(plan.trainable):
        remedy = f"image-size={network.single_up_to + 1} or more, or batch-norm=frozen, avoids that"
        why = (
            f"{network.last_maps}'s feature maps are single values at image-size={side}, of which "
            "BatchNorm takes no statistics"
        )
        raise SiteError(
            f"{workspace.name} has one training image, and {why}; {remedy}.",
            shareable=f"it has too few training images, and {why}; {remedy}",
        )


def _require(workspace: Workspace, part: Part, refusals: Sequence[Refusal]) -> None:
    policy, deployed = part.settings.policy, workspace.deployed
    if binding := [one for one in refusals if policy.binds(one.rule, deployed=deployed)]:
        raise PolicyError(part.settings.name, binding)


def refused_training(policy: Policy, config: RunConfig, train: tuple[Sample, ...]) -> list[Refusal]:
    """The rules that a round on these training images breaks."""
    batches = batch_positions(len(train), config.batch_size)
    steps = steps_of_round(len(train), config)
    share = max(map(len, batches), default=0) / max(1, len(train))
    asked = f"batch-size={config.batch_size}"
    patients = patients_of(train)
    found = []
    if patients < policy.least_training_patients:
        limit = numbers(policy.least_training_patients)
        found.append(Refusal("least-training-patients", limit, None, f"here are {patients}"))
    if config.schedule == "logistic":  # it has no steps: `schedules` alone allows it
        return found
    if steps < policy.least_steps:
        detail = f"a round here has {steps}"
        found.append(Refusal("least-steps", numbers(policy.least_steps), asked, detail))
    if share > policy.largest_batch:
        detail = f"a step would take {share:.0%} of the training images"
        found.append(Refusal("largest-batch", numbers(policy.largest_batch), asked, detail))
    return found


def refused_evaluation(policy: Policy, kind: str, held_out: tuple[Sample, ...]) -> list[Refusal]:
    """The rules that an evaluation of these images breaks; an empty cohort sends nothing."""
    patients = patients_of(held_out)
    if 0 < patients < policy.least_held_out_patients:
        limit = numbers(policy.least_held_out_patients)
        return [Refusal("least-held-out-patients", limit, None, f"{kind}: {patients}")]
    return []


def patients_of(samples: tuple[Sample, ...]) -> int:
    """How many patients these images come from."""
    return len({sample.patient for sample in samples})
