"""AlexNet of configs/alexnet.cfg (grouped, with LRN) in PyTorch, on synthetic data: how many images
a second it infers and trains, and with --passes what each pass of each convolution takes, as JSON.
Needs nothing but PyTorch 1.13 or newer. bench/peers/alexnet runs it.

Both memory formats are tried once, and the faster one is measured. On a GPU cuDNN may try all its
algorithms first, and computes in float32 as clnet does: TF32, of 10 bits, is off.
"""
import argparse
import json
import statistics
import sys
import time
import warnings

warnings.filterwarnings("ignore")

import torch  # noqa: E402
from torch import nn  # noqa: E402

FORMATS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}


class AlexNet(nn.Module):
    def __init__(self):
        super().__init__()

        def conv(*sizes, **more):
            return [nn.Conv2d(*sizes, **more), nn.ReLU()]

        def norm():  # divides alpha by the size, which the 2012 paper does not
            return [nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2)]

        def pool():
            return [nn.MaxPool2d(3, 2)]

        self.features = nn.Sequential(
            *conv(3, 96, 11, stride=4), *norm(), *pool(),
            *conv(96, 256, 5, padding=2, groups=2), *norm(), *pool(),
            *conv(256, 384, 3, padding=1), *conv(384, 384, 3, padding=1, groups=2),
            *conv(384, 256, 3, padding=1, groups=2), *pool())
        self.classes = nn.Sequential(
            nn.Linear(9216, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(),
            nn.Dropout(), nn.Linear(4096, 1000))

    def forward(self, x):
        return self.classes(torch.flatten(self.features(x), 1))


def seconds_of(work, repetitions, warm):
    """Seconds of a work in each repetition, after some that do not count. A GPU takes works faster
    than they can be timed one by one: there a repetition is as many of them as take 0.2 s."""
    wait = torch.cuda.synchronize if torch.cuda.is_initialized() else lambda: None
    times = []
    count = 1
    for i in range(-warm, repetitions):
        wait()
        start = time.perf_counter()
        for _ in range(count):
            work()
        wait()
        took = (time.perf_counter() - start) / count
        if i >= 0:
            times.append(took)
        elif torch.cuda.is_initialized():
            count = max(1, int(0.2 / took))
    return times


def best_format(make, repetitions):
    """The median seconds in the faster memory format, and its name."""
    works = {name: make(memory_format) for name, memory_format in FORMATS.items()}
    warm = 2 if torch.cuda.is_initialized() else 1
    tried = {name: min(seconds_of(work, 1, warm)) for name, work in works.items()}
    name = min(tried, key=tried.get)
    return statistics.median(seconds_of(works[name], repetitions, warm - 1)), name


def inference(batch):
    def make(memory_format):
        net = AlexNet().eval().to(memory_format=memory_format)
        x = torch.randn(batch, 3, 227, 227).to(memory_format=memory_format)

        def work():
            with torch.inference_mode():
                net(x)
        return work
    return make


def training(batch):
    def make(memory_format):
        net = AlexNet().train().to(memory_format=memory_format)
        x = torch.randn(batch, 3, 227, 227).to(memory_format=memory_format)
        truth = torch.randint(1000, (batch,))
        solver = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.9, weight_decay=5e-4)
        loss = nn.CrossEntropyLoss()

        def work():
            solver.zero_grad(set_to_none=True)
            loss(net(x), truth).backward()
            solver.step()
        return work
    return make


# name, channels in, height and width, filters, window, stride, padding, groups
CONVOLUTIONS = [
    ("conv1", 3, 227, 96, 11, 4, 0, 1), ("conv2", 96, 27, 256, 5, 1, 2, 2),
    ("conv3", 256, 13, 384, 3, 1, 1, 1), ("conv4", 384, 13, 384, 3, 1, 1, 2),
    ("conv5", 384, 13, 256, 3, 1, 1, 2)]


def convolution(batch, shape, which):
    _, c, h, k, r, stride, padding, groups = shape

    def make(memory_format):
        x = torch.randn(batch, c, h, h).to(memory_format=memory_format)
        w = torch.randn(k, c // groups, r, r).to(memory_format=memory_format)
        b = torch.zeros(k)
        if which == "forward":
            def work():
                with torch.inference_mode():
                    torch.conv2d(x, w, b, stride, padding, 1, groups)
            return work
        dy = torch.randn_like(torch.conv2d(x, w, b, stride, padding, 1, groups))
        mask = [which == "backward data", which == "backward weight", False]

        def work():
            torch.ops.aten.convolution_backward(dy, x, w, [k], [stride] * 2, [padding] * 2, [1] * 2,
                                                False, [0, 0], groups, mask)
        return work
    return make


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu",
                        help="cuda: a GPU of NVIDIA's, or AMD's where PyTorch is built for those")
    parser.add_argument("--threads", type=int, default=0, help="0: as PyTorch chooses")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--passes", action="store_true",
                        help="the passes of the convolutions, in place of the whole net")
    parser.add_argument("--version", action="store_true", help="print PyTorch's version alone")
    options = parser.parse_args()
    result = {"version": torch.__version__}
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.device == "cuda":
        torch.set_default_device("cuda")
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
        result["gpu"] = torch.cuda.get_device_name()
    if options.passes:
        result["passes"] = []
        for shape in CONVOLUTIONS:
            for which in ("forward", "backward data", "backward weight"):
                if (shape[0], which) == ("conv1", "backward data"):
                    continue  # of the data no one needs a gradient
                took, layout = best_format(convolution(options.batch, shape, which),
                                           options.repetitions)
                result["passes"].append({"name": shape[0], "pass": which, "ms": 1e3 * took,
                                         "format": layout})
    elif not options.version:
        for name, make in (("inference", inference), ("training", training)):
            took, layout = best_format(make(options.batch), options.repetitions)
            result[name] = {"images_per_second": options.batch / took, "format": layout}
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
