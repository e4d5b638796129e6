"""Images a second on a GPU at each stage, with mixed precision on and off, and how busy it is.

A step alone has its images on the GPU already; a round is a site's own, with loading and
augmentation. Busy is the share of a round in which a kernel or a copy runs. Exits with 2 where
there is no GPU.

    .venv/bin/python -m benchmarks.gpu [--image-size 512] [--batch-size 8]
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from benchmarks.machine import name_of_device
from benchmarks.steps.task import WIDTHS, Task


def main() -> None:
    options = parse()
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        print("There is no GPU here that PyTorch can use; this benchmark needs one.",
              file=sys.stderr)  # fmt: skip
        raise SystemExit(2)
    from benchmarks.steps.throughput import measure, phantoms

    task = Task(options.backbone, options.image_size, options.batch_size, options.device)
    print(f"{name_of_device(task.device)}, Python {platform.python_version()}, torch "
          f"{version('torch')}; {task.backbone}, {task.side} px, batch {task.images}; TF32 in "
          f"float32 convolutions: {torch.backends.cudnn.allow_tf32}\n")  # fmt: skip
    print("| trains from | settings | step alone, images/s | round, images/s | GPU busy in a round "
          "| peak, MB |")  # fmt: skip
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        samples = phantoms(Path(folder), task, options.patients)
        for width in WIDTHS:
            for settings in (options.off, options.on):
                row = measure(task, width, settings, samples, options.steps)
                print(f"| {width} | {', '.join(settings)} | {row.step_rate:,.0f} | "
                      f"{row.round_rate:,.0f} | {row.busy:.0%} | {row.peak / 1e6:,.0f} |",
                      flush=True)  # fmt: skip


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--image-size", type=int, default=512)
    add("--batch-size", type=int, default=8)
    add("--backbone", default="resnet50")
    add("--steps", type=int, default=20)
    add("--patients", type=int, default=200, help="phantoms of a round")
    add("--on", nargs="*", default=("precision=auto",), metavar="KEY=VALUE")
    add("--off", nargs="*", default=("precision=float32",), metavar="KEY=VALUE")
    add("--device", default="cuda", choices=("cuda", "cpu"), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
