"""On paper: what each pass of AlexNet takes at least on GPUs that are not here, by their makers' rates
and what its kernels compute, read and write. Nothing of it is measured."""

GROUPS = ("conv", "fc")  # layers that have rows of their own: what remains is summed up


def row_of(kernel):
    """The row of a table that a kernel's work counts in, or None: it is not of a training's pass."""
    layer, work = kernel["layer"], kernel["pass"]
    if layer == "limits":
        return None
    if layer.startswith(GROUPS) and kernel["flops"]:
        return (layer, work)
    if layer == "input":
        # Of three kernels one is used: pictures, less a mean by pixel.
        return ("input", work) if kernel["function"] == "input_bytes" else None
    if layer == "update":
        return ("update", "")
    names = {"norm": "normalisation", "pool": "pooling", "drop": "dropout", "conv": "bias, activation",
             "fc": "bias, activation", "loss": "softmax"}
    return (names[layer.rstrip("0123456789")], "forward, backward")


def sum_work(kernels):
    """{row: [flops, bytes]} of a training's iteration."""
    rows, seen = {}, set()
    for kernel in kernels:
        row = row_of(kernel)
        if row is None or (row[0] == "input" and "input" in seen):
            continue
        if kernel.get("function") in ("conv_add_splits", "gemm_add_splits"):
            continue  # what splits cost is no part of the bound
        seen.add(row[0])
        work = rows.setdefault(row, [0, 0])
        work[0] += kernel["flops"]
        work[1] += kernel["bytes"]
    return rows


def bound(work, device):
    """Milliseconds, and by what."""
    compute = work[0] / (device["gflops"] * 1e9)
    memory = work[1] / (device["bandwidth"] * 1e9)
    return max(compute, memory) * 1e3, "operations" if compute > memory else "bytes"


def table(lists):
    """Markdown, of what `clnet kernels` wrote for each device, with the same config."""
    rows = sum_work(lists[0]["kernels"])
    devices = [f"{one['device']}" for one in lists]
    lines = ["| | | GFLOP | MB | FLOP a byte |" + "".join(f" {name}, ms |" for name in devices),
             "|---|---|---:|---:|---:|" + "---:|" * len(lists)]
    totals = [0.0] * len(lists)
    for (name, work_name), work in rows.items():
        cells = []
        for i, device in enumerate(lists):
            milliseconds, by = bound(work, device)
            totals[i] += milliseconds
            cells.append(f" {milliseconds:.3f}{'' if by == 'operations' else ' *'} |")
        lines.append(f"| {name} | {work_name} | {work[0] / 1e9:.1f} | {work[1] / 1e6:.0f} | "
                     f"{work[0] / work[1]:.0f} |" + "".join(cells))
    flops, size = (sum(work[i] for work in rows.values()) for i in (0, 1))
    lines.append(f"| **an iteration** | | {flops / 1e9:.0f} | {size / 1e6:.0f} | {flops / size:.0f} |"
                 + "".join(f" {total:.1f} |" for total in totals))
    lines.append("| images/s at most | | | | |"
                 + "".join(f" {lists[0]['batch'] / total * 1e3:.0f} |" for total in totals))
    lines.append("| rates: GFLOP/s, GB/s | | | | |"
                 + "".join(f" {one['gflops']:.0f}, {one['bandwidth']:.0f} |" for one in lists))
    return "\n".join(lines) + "\n"
