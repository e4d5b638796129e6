"""The whole recipe over four sites: FedThaw with everything on and off, stock Flower, plain torch.

Arms side by side in one run, one process at a time: the seconds, the bytes, and the final model's
AUROC at an external site. Finished runs are kept in --out and not repeated. Without --data the
sites are phantoms.

    .venv/bin/python -m benchmarks.recipe --data ../shared/data/pediatric \
        --weights ../shared/weights/cxr-resnet50-pediatric.safetensors --image-size 128
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from benchmarks.recipe_arms.job import Job, Kind, Result
from benchmarks.recipe_arms.runner import prepare, run
from benchmarks.recipe_arms.table import print_conclusions, print_machine, print_table
from shared.phantoms.hospitals import HOSPITALS, HospitalProfile, write_hospitals

ON, OFF, STOCK, PLAIN = "everything on", "everything off", "stock Flower", "plain recipe"
SIDE_BY_SIDE = "everything on, sites side by side"
ADAPTIVE = "the same, schedule=adaptive"
DYNAMICS = "the same, schedule=dynamics, round-budget=0.2"
SCHEDULES = {
    ADAPTIVE: ("schedule=adaptive",),
    DYNAMICS: ("schedule=dynamics", "round-budget=0.2"),
}
"""Further arms with everything on and sites side by side."""
ARMS = {
    "side-by-side": SIDE_BY_SIDE,
    "adaptive": ADAPTIVE,
    "dynamics": DYNAMICS,
    "on": ON,
    "off": OFF,
    "stock": STOCK,
    "plain": PLAIN,
}
"""By the names that --arms takes."""
RECIPE = "schedule=progressive"
"""Plain PyTorch and stock Flower do not end early either."""
EVERYTHING_ON = (RECIPE, "feature-cache=auto", "precision=auto", "update-dtype=int8")
EVERYTHING_OFF = (RECIPE, "feature-cache=off", "precision=float32", "update-dtype=float32")
EXTERNAL = HospitalProfile(
    "external", 160, 0, 0.45, (0.75, 0.20, 0.05), "labels.csv", "DX", "MONOCHROME2",
    12, False, False, window=True, contrast=0.8, gamma=1.1, shape=(1.0, 1.0),
)  # fmt: skip


def main() -> None:
    options = parse()
    out = options.out.absolute()
    data = options.data.absolute() if options.data else phantoms(out / "phantoms")
    jobs = {ARMS[arm]: arm_jobs(ARMS[arm], data, options) for arm in options.arms}
    prepare(job(ON, "fedthaw", 0, (), data, options), out)
    results: dict[str, list[Result]] = {}
    for one in interleaved(jobs):
        results.setdefault(one.arm, []).append(run(one, out))
    print_machine(f"{'phantoms' if options.data is None else options.data.name}, "
                  f"{options.backbone}, {options.image_size} px, {options.probe_rounds} probe and "
                  f"{options.rounds} fine-tuning rounds")  # fmt: skip
    print_table({arm: results[arm] for arm in jobs if arm in results}, STOCK)
    print_conclusions(results, (SIDE_BY_SIDE, *SCHEDULES, ON), OFF, (STOCK, PLAIN))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, help="folder of site folders, one of them `external`")
    add("--weights", help="base; default xrv, with phantoms random")
    add("--out", type=Path, default=Path("runs/recipe"))
    add("--image-size", type=int, default=128)
    add("--backbone", default="resnet50")
    add("--rounds", type=int, default=20, help="fine-tuning rounds")
    add("--probe-rounds", type=int, default=10)
    add("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    add("--seeds", type=int, default=3, help="runs with everything on, and as many with all off")
    add("--side-by-side-seeds", type=int, default=1, help="on Flower's engine, as stock Flower")
    add("--stock-seeds", type=int, default=1)
    add("--plain-seeds", type=int, default=1)
    add(
        "--on",
        nargs="*",
        default=EVERYTHING_ON,
        metavar="KEY=VALUE",
        help="in place of %(default)s",
    )
    add(
        "--off",
        nargs="*",
        default=EVERYTHING_OFF,
        metavar="KEY=VALUE",
        help="settings with everything off",
    )
    cores = os.cpu_count() or 1
    add("--stock-clients", type=int, default=min(4, cores), help="stock clients side by side")
    add("--stock-rate", type=float, default=1e-4, help="stock Flower's learning rate")
    add("--plain-workers", type=int, default=0, help="processes that load images for plain torch")
    return parser.parse_args()


def phantoms(folder: Path) -> Path:
    """Four synthetic hospitals and a further one that takes no part."""
    print(f"Making synthetic hospitals in {folder}.", file=sys.stderr, flush=True)
    write_hospitals(folder, (*HOSPITALS, EXTERNAL))
    return folder


def arm_jobs(arm: str, data: Path, options: argparse.Namespace) -> list[Job]:
    """An arm's runs, one for each of its seeds."""
    kinds: dict[str, tuple[Kind, int, tuple[str, ...]]] = {
        ON: ("fedthaw", options.seeds, tuple(options.on)),
        SIDE_BY_SIDE: ("fedthaw", options.side_by_side_seeds, tuple(options.on)),
        OFF: ("fedthaw", options.seeds, tuple(options.off)),
        STOCK: ("stock", options.stock_seeds, ()),
        PLAIN: ("plain", options.plain_seeds, ()),
    }
    for name, schedule in SCHEDULES.items():
        kinds[name] = ("fedthaw", options.side_by_side_seeds, (*options.on, *schedule))
    kind, seeds, settings = kinds[arm]
    return [job(arm, kind, seed, settings, data, options) for seed in range(seeds)]


def job(
    arm: str, kind: Kind, seed: int, settings: tuple[str, ...], data: Path,
    options: argparse.Namespace,
) -> Job:  # fmt: skip
    sites = sorted(path.parent for path in data.glob("*/site.toml"))
    weights = options.weights or ("xrv" if options.data else "random")
    if Path(weights).exists():
        weights = str(Path(weights).absolute())
    shared = (
        f"weights={weights}",
        f"backbone={options.backbone}",
        f"image-size={options.image_size}",
        f"rounds={options.rounds}",
        f"probe-rounds={options.probe_rounds}",
    )
    return Job(
        arm, kind, seed, shared + settings,
        sites=tuple(str(site) for site in sites if site.name != "external"),
        external=str(data / "external"), stock_clients=options.stock_clients,
        stock_rate=options.stock_rate, plain_workers=options.plain_workers,
        side_by_side=arm in {SIDE_BY_SIDE, *SCHEDULES},
    )  # fmt: skip


def interleaved(jobs: dict[str, list[Job]]) -> list[Job]:
    """Seed by seed, every second time backwards, so that a drift of the machine hits all alike."""
    order: list[Job] = []
    for seed in range(max(map(len, jobs.values()))):
        turn = [one[seed] for one in jobs.values() if seed < len(one)]
        order += reversed(turn) if seed % 2 else turn
    return order


if __name__ == "__main__":
    main()
