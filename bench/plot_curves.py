#!/usr/bin/python3
"""Draws the training loss and the test error of runs into one PNG:

    plot_curves.py OUTPUT.png CURVE.jsonl...

A curve is a metrics.jsonl of clnet, or what bench/peers/ writes."""
import json
import os
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402 (the backend comes first)

SMOOTHING = 0.95  # share of the running mean that the next loss leaves


def read(path):
    """Points (iteration, smoothed loss) and (iteration, top-1 error); an evaluation of clnet belongs
    to the iteration above it."""
    losses, errors, iteration, mean, weight = [], [], 0, 0.0, 0.0
    with open(path, encoding="utf-8") as file:
        for line in map(json.loads, file):
            iteration = line.get("iteration", iteration)
            if line.get("loss") is not None:
                mean = SMOOTHING * mean + (1 - SMOOTHING) * line["loss"]
                weight = SMOOTHING * weight + 1 - SMOOTHING
                losses.append((iteration, mean / weight))
            if "test_top1_error" in line:
                errors.append((iteration, 100 * line["test_top1_error"]))
    return losses, errors


def name_of(path):
    folder, file = os.path.split(os.path.abspath(path))
    return os.path.basename(folder) if file == "metrics.jsonl" else os.path.splitext(file)[0]


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), constrained_layout=True)
    for path in sys.argv[2:]:
        losses, errors = read(path)
        left.plot(*zip(*losses), label=name_of(path))
        if errors:
            right.plot(*zip(*errors), marker="o", label=name_of(path))
    left.set(xlabel="iteration", ylabel="training loss (running mean)")
    right.set(xlabel="iteration", ylabel="test top-1 error, %", xlim=left.get_xlim(), ylim=(0, 100))
    left.legend()
    figure.savefig(sys.argv[1], dpi=100)


if __name__ == "__main__":
    main()
