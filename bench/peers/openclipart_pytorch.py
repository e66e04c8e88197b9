#!/usr/bin/python3
"""Trains the network of configs/alexnet-openclipart.cfg in PyTorch, by the same recipe, on the same
split of the same pictures, and writes its curve as JSON lines. What differs is what must: the
random numbers, and the order in which sums are taken. README.md says how to run it.

The recipe stands in the config; what is taken from there is [net] and [data]. The layers are
written out here.
"""
import argparse
import json
import os
import sys
import time

import numpy
import torch
import xxhash
from PIL import Image
from torch import nn
from torch.nn import functional

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = os.path.join(HERE, "..", "..", "configs", "alexnet-openclipart.cfg")
CROP = 227
PIXELS_MAX = 1 << 27  # clnet leaves larger pictures out: host/data/picture.h
Image.MAX_IMAGE_PIXELS = None


def read_config(path):
    """The keys of [net] and [data]; a layer's are not looked at."""
    keys, section = {}, None
    with open(path, encoding="utf-8") as file:
        for line in file:
            line = line.split("#")[0].strip()
            if line.startswith("["):
                section = line
            elif line and section in ("[net]", "[data]"):
                key, value = line.split("=", 1)
                keys[key.strip()] = value.strip()
    return keys


class ResponseNorm(nn.Module):
    """x / (2 + 1e-4 * sum of x^2 over 5 channels)^0.75: alpha is not divided by 5, as PyTorch's is.
    The sum by shifted slices, which is much faster than torch.nn.LocalResponseNorm."""

    def forward(self, x):
        squares = functional.pad(x * x, (0, 0, 0, 0, 2, 2))
        channels = x.shape[1]
        total = squares[:, 0:channels]
        for shift in range(1, 5):
            total = total + squares[:, shift : shift + channels]
        return x * (2 + 1e-4 * total).pow(-0.75)


def make_network(classes):
    def convolution(inputs, outputs, size, **options):
        return [nn.Conv2d(inputs, outputs, size, **options), nn.ReLU()]

    pool = [nn.MaxPool2d(3, 2)]
    layers = (
        convolution(3, 96, 11, stride=4) + [ResponseNorm()] + pool
        + convolution(96, 256, 5, padding=2, groups=2) + [ResponseNorm()] + pool
        + convolution(256, 384, 3, padding=1)
        + convolution(384, 384, 3, padding=1, groups=2)
        + convolution(384, 256, 3, padding=1, groups=2) + pool
        + [nn.Flatten()]
        + [nn.Linear(256 * 6 * 6, 4096), nn.ReLU(), nn.Dropout(0.5)]
        + [nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(0.5)]
        + [nn.Linear(4096, classes)]
    )
    network = nn.Sequential(*layers)
    weighted = [layer for layer in network if isinstance(layer, (nn.Conv2d, nn.Linear))]
    for layer in weighted:
        # msra: sigma = sqrt(2 / fan in), where a group's fan in is its own inputs.
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
    nn.init.normal_(weighted[-1].weight, std=0.01)
    return network


class Solver:
    """kernels_cl/solver.cl: v <- momentum v - decay rate w - rate dw; w <- w + v. The decay is that
    of weights alone, not of biases. (PyTorch's SGD keeps the rate out of the velocity, which is not
    the same once the rate changes.)"""

    def __init__(self, network, momentum, decay):
        self.parameters = list(network.parameters())
        self.velocities = [torch.zeros_like(p) for p in self.parameters]
        self.momentum, self.decay = momentum, decay

    @torch.no_grad()
    def update(self, rate):
        for parameter, velocity in zip(self.parameters, self.velocities):
            velocity.mul_(self.momentum).sub_(parameter.grad, alpha=rate)
            if parameter.dim() > 1:
                velocity.sub_(parameter, alpha=self.decay * rate)
            parameter.add_(velocity)
            parameter.grad = None


def rate_of(keys, iteration, iterations):
    """schedule_rate in host/train/schedule.c, for policy=poly."""
    rate, power = float(keys["learning_rate"]), float(keys["power"])
    burn_in = int(keys.get("burn_in", 0))
    if iteration < burn_in:
        return rate * ((iteration + 1) / burn_in) ** power
    return rate * (1 - iteration / iterations) ** power


def list_pictures(root):
    """Relative paths, sorted, with the labels of their first folders, links followed."""
    classes = sorted(name for name in os.listdir(root) if os.path.isdir(os.path.join(root, name)))
    pictures = []
    for label, name in enumerate(classes):
        for folder, _, files in os.walk(os.path.join(root, name), followlinks=True):
            for file in files:
                if file.endswith(".png"):
                    path = os.path.relpath(os.path.join(folder, file), root)
                    pictures.append((path, label))
    return sorted(pictures), classes


def is_test(path, share):
    return xxhash.xxh64_intdigest(os.fsencode(path), seed=0) / 2.0**64 < share


def decode(path, side):
    """RGB over white; the picture scaled so that it covers side x side, its centre kept: averages
    over areas when shrinking, bilinear when enlarging."""
    with Image.open(path) as file:
        if file.width * file.height > PIXELS_MAX:
            raise ValueError(f"{file.width} x {file.height} pixels")
        picture = file.convert("RGBA")
    white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
    picture = Image.alpha_composite(white, picture).convert("RGB")
    width, height = picture.size
    least = min(width, height)
    left, top = (width - least) / 2, (height - least) / 2
    kind = Image.Resampling.BOX if least > side else Image.Resampling.BILINEAR
    box = (left, top, left + least, top + least)
    return numpy.asarray(picture.resize((side, side), kind, box=box))


def load(root, pictures, side):
    """All that can be decoded, as uint8 [count][side][side][3], and their labels."""
    pixels = numpy.empty((len(pictures), side, side, 3), numpy.uint8)
    labels, start = [], time.monotonic()
    for path, label in pictures:
        try:
            pixels[len(labels)] = decode(os.path.join(root, path), side)
        except (OSError, ValueError, SyntaxError) as error:
            print(f"left out: {path}: {error}", file=sys.stderr)
            continue
        labels.append(label)
    seconds = time.monotonic() - start
    print(f"decoded {len(labels)} pictures, {len(labels) / seconds:.0f} images/s", file=sys.stderr)
    return pixels[: len(labels)], numpy.array(labels, numpy.int64)


class Input:
    """Crops, mirrors, subtracts the mean and scales."""

    def __init__(self, mean, scale, side):
        self.mean = torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1)
        self.scale, self.margin = scale, side - CROP

    def __call__(self, pixels, places, mirrors):
        crops = numpy.empty((len(pixels), CROP, CROP, 3), numpy.uint8)
        for crop, frame, (x, y), mirror in zip(crops, pixels, places, mirrors):
            seen = frame[y : y + CROP, x : x + CROP]
            crop[:] = seen[:, ::-1] if mirror else seen
        values = torch.from_numpy(crops).permute(0, 3, 1, 2).float()
        return (values - self.mean) * self.scale

    def training(self, pixels, random):
        places = random.integers(0, self.margin + 1, (len(pixels), 2))
        return self(pixels, places, random.integers(0, 2, len(pixels)))

    def centre(self, pixels):
        count = len(pixels)
        return self(pixels, [(self.margin // 2,) * 2] * count, [0] * count)


@torch.no_grad()
def evaluate(network, make_input, pixels, labels, batch):
    network.eval()
    loss = wrong = wrong5 = 0
    for first in range(0, len(labels), batch):
        truth = torch.from_numpy(labels[first : first + batch])
        output = network(make_input.centre(pixels[first : first + batch]))
        loss += functional.cross_entropy(output, truth, reduction="sum").item()
        best = output.topk(5).indices == truth[:, None]
        wrong += (~best[:, 0]).sum().item()
        wrong5 += (~best.any(1)).sum().item()
    network.train()
    count = len(labels)
    return {"test_loss": loss / count, "test_top1_error": wrong / count,
            "test_top5_error": wrong5 / count}


def train(options, keys, network, data, test, curve):
    pixels, labels = data
    random = numpy.random.default_rng(options.seed)
    mean = numpy.mean([frame.mean((0, 1), dtype=numpy.float64) for frame in pixels], 0)
    make_input = Input(mean, float(keys.get("scale", 1)), pixels.shape[1])
    solver = Solver(network, float(keys["momentum"]), float(keys["decay"]))
    per_epoch = -(-len(labels) // options.batch)

    def tell(line):
        curve.write(json.dumps(line) + "\n")
        curve.flush()

    network.train()
    for iteration in range(options.iterations):
        start = time.monotonic()
        at = iteration % per_epoch
        if at == 0:
            order = random.permutation(len(labels))
        chosen = order[at * options.batch : (at + 1) * options.batch]
        values = make_input.training(pixels[chosen], random)
        loss = functional.cross_entropy(network(values), torch.from_numpy(labels[chosen]))
        loss.backward()
        rate = rate_of(keys, iteration, options.iterations)
        solver.update(rate)
        tell({"iteration": iteration + 1, "epoch": iteration // per_epoch + 1,
              "loss": loss.item(), "learning_rate": rate,
              "images_per_second": len(chosen) / (time.monotonic() - start)})
        last = iteration + 1 == options.iterations
        if last or at + 1 == per_epoch:
            tell({"iteration": iteration + 1, "epoch": iteration // per_epoch + 1,
                  **evaluate(network, make_input, *test, options.batch)})


def main():
    keys = read_config(CONFIG)
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--data", default=keys["train"], help="the folder of folders")
    parser.add_argument("--iterations", type=int, default=int(keys["max_batches"]))
    parser.add_argument("--batch", type=int, default=int(keys["batch"]))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--limit", type=int, help="look at so many pictures only, to try it out")
    parser.add_argument("--output", default="openclipart_pytorch.jsonl")
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    pictures, classes = list_pictures(options.data)
    if options.limit:
        pictures = pictures[:: max(1, len(pictures) // options.limit)]
    share, side = float(keys["test_share"]), int(keys["resize"])
    halves = [[picture for picture in pictures if is_test(picture[0], share) == wanted]
              for wanted in (False, True)]
    data, test = (load(options.data, half, side) for half in halves)
    network = make_network(len(classes))
    print(f"{len(data[1])} pictures to learn from, {len(test[1])} to test on, {len(classes)} "
          f"classes, {sum(p.numel() for p in network.parameters())} parameters", file=sys.stderr)
    start = time.monotonic()
    with open(options.output, "w", encoding="utf-8") as curve:
        train(options, keys, network, data, test, curve)
    seconds = time.monotonic() - start
    print(f"{options.iterations} iterations of {options.batch}: {seconds:.1f} s with evaluations, "
          f"{options.iterations * options.batch / seconds:.1f} images/s; the curve: "
          f"{options.output}", file=sys.stderr)


if __name__ == "__main__":
    main()
