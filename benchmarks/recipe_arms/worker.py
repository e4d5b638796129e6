"""What the recipe benchmark runs in processes of its own.

    python -m benchmarks.recipe_arms.worker prepare|train|external FOLDER

`FOLDER` holds the job. `prepare` decodes all images, so that no arm pays for it; `external` prints
the final model's AUROC.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.recipe_arms.job import read_job


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("prepare", "train", "external"))
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    job = read_job(given.folder / "job.json")
    if given.action == "train" and job.kind == "stock":
        from benchmarks.recipe_arms import stock

        stock.train(job, given.folder)
    elif given.action == "train":
        from benchmarks.recipe_arms import plain

        plain.train(job, given.folder)
    elif given.action == "prepare":
        from benchmarks.recipe_arms.common import begin
        from client.workspace import open_workspace

        begin(job)
        open_workspace({"site": job.external}, job.config())
    else:
        from benchmarks.recipe_arms.common import external_auroc

        print(external_auroc(job, given.folder))


if __name__ == "__main__":
    main()
