"""What compilers report of kernels, read; and the rules that hold for it.

A report is {function: {measure: number}}. The measures by family:

    nvidia   registers, spill (bytes), stack (bytes), shared (bytes)
    amd      vgprs, sgprs, spill (registers), scratch (bytes), lds (bytes), waves (that a SIMD holds)
    intel    simd (work-items of a thread), spill (registers), scratch (bytes a thread), local (bytes)
"""
import re
import struct

# The measures that a table keeps, and whether more of them is better.
KEPT = {
    "nvidia": {"registers": False, "shared": False, "warps": True},
    "amd": {"vgprs": False, "sgprs": False, "lds": False, "waves": True},
    "intel": {"simd": True, "local": False},
}

# Those that must be zero: what does not fit a compiler's registers goes to memory.
ZERO = ("spill", "stack", "scratch")


def read_ptxas(text):
    """The report of `ptxas -v`."""
    report = {}
    function = None
    for line in text.splitlines():
        found = re.search(r"Compiling entry function '(\w+)'", line)
        if found:
            function = found.group(1)
            report[function] = {"shared": 0}
            continue
        found = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, "
                          r"(\d+) bytes spill loads", line)
        if found and function:
            stack, stores, loads = map(int, found.groups())
            report[function].update(stack=stack, spill=stores + loads)
        found = re.search(r"Used (\d+) registers", line)
        if found and function:
            report[function]["registers"] = int(found.group(1))
            shared = re.search(r"(\d+) bytes smem", line)
            report[function]["shared"] = int(shared.group(1)) if shared else 0
    return complete(report, ("registers", "spill", "stack", "shared"))


def read_amdgcn(text):
    """The comments and the metadata of clang's assembly."""
    report = {}
    names = {"NumSgprs": "sgprs", "ScratchSize": "scratch", "LDSByteSize": "lds",
             "Occupancy": "waves"}
    function = None
    for line in text.splitlines():
        found = re.match(r"\s*\.amdhsa_kernel (\w+)", line)
        if found:
            function = found.group(1)
            report[function] = {}
        found = re.match(r"; (\w+): (\d+)", line)
        if not found or not function:
            continue
        name, number = found.group(1), int(found.group(2))
        if name in names:
            report[function][names[name]] = number
        elif name == "TotalNumVgprs" or (name == "NumVgprs" and "vgprs" not in report[function]):
            report[function]["vgprs"] = number  # the total counts accumulation registers too
    for name, metadata in split_metadata(text):
        spills = re.findall(r"\.[sv]gpr_spill_count: +(\d+)", metadata)
        if name in report and len(spills) == 2:
            report[name]["spill"] = sum(map(int, spills))
    return complete(report, ("vgprs", "sgprs", "spill", "scratch", "lds", "waves"))


def split_metadata(text):
    """The kernels of .amdgpu_metadata: pairs of a name and what is said of it."""
    for part in text.partition(".amdgpu_metadata")[2].split("\n  - ")[1:]:
        found = re.search(r"^    \.name: +(\w+)", part, re.MULTILINE)
        if found:
            yield found.group(1), part


# Of the patches of Intel's device binary (intel-graphics-compiler, patch_list.h and patch_shader.h).
MAGIC = 0x494E5443
PATCH_LOCAL_MEMORY, PATCH_SCRATCH, PATCH_EXECUTION, PATCH_PRIVATE = 15, 18, 23, 38


def read_ocloc(binary, said):
    """A device binary, as ocloc writes it, and what ocloc said meanwhile."""
    report = {}
    start = binary.find(struct.pack("<I", MAGIC))
    if start < 0:
        raise ValueError("there is no device binary in what ocloc wrote")
    kernels, patches = struct.unpack_from("<I4xI", binary, start + 16)
    at = start + 28 + patches
    for _ in range(kernels):
        sizes = struct.unpack_from("<7I", binary, at + 12)
        name_size, patch_size, heaps = sizes[0], sizes[1], sum(sizes[2:6])
        at += 40
        name = binary[at:at + name_size].split(b"\0")[0].decode()
        at += name_size + heaps
        report[name] = read_patches(binary[at:at + patch_size])
        at += patch_size
    for name, spill in re.findall(r"kernel (\w+) +compiled .* spilled around (\d+)", said):
        report[name]["spill"] = int(spill)
    return complete(report, ("simd", "spill", "scratch", "local"))


def read_patches(patches):
    measures = {"spill": 0, "scratch": 0, "local": 0}
    at = 0
    while at < len(patches):
        token, size = struct.unpack_from("<II", patches, at)
        words = struct.unpack_from(f"<{size // 4 - 2}I", patches, at + 8)
        if token == PATCH_LOCAL_MEMORY:
            measures["local"] = words[1]
        elif token == PATCH_SCRATCH:
            measures["scratch"] += words[1]
        elif token == PATCH_PRIVATE:
            measures["scratch"] += words[3]
        elif token == PATCH_EXECUTION:
            measures["simd"] = words[3]
        at += size
    return measures


def complete(report, measures):
    """A compiler that words its report in another way must not pass for one that finds nothing."""
    if not report:
        raise ValueError("it names no kernel")
    for function, found in report.items():
        missing = [measure for measure in measures if measure not in found]
        if missing:
            raise ValueError(f"it does not tell {', '.join(missing)} of {function}")
    return report


# Of a multiprocessor: bytes of shared memory, groups, threads. All have 65,536 registers, which a
# warp takes by 256 (CUDA C++ Programming Guide, "Compute Capabilities").
MULTIPROCESSORS = {"sm_70": (96 << 10, 32, 2048), "sm_80": (164 << 10, 32, 2048),
                   "sm_90": (228 << 10, 32, 2048)}
SHARED_BY_SYSTEM = {"sm_70": 0, "sm_80": 1024, "sm_90": 1024}  # bytes of each group


def warps(architecture, registers, shared, items):
    """Warps that a multiprocessor holds at once, of groups of so many work-items."""
    memory, groups, threads = MULTIPROCESSORS[architecture]
    each = -(-items // 32)
    limits = [groups, threads // (32 * each), 65536 // (-(-registers * 32 // 256) * 256) // each]
    if shared:
        limits.append(memory // (shared + SHARED_BY_SYSTEM[architecture]))
    return min(limits) * each


def spills(measures):
    """What of a kernel is in memory that should be in registers, in words; empty: nothing."""
    return ", ".join(f"{measures[name]} {name}" for name in ZERO if measures.get(name))


def worse(kept, now, before):
    """What got worse of a kernel, by the measures that are kept, in words; empty: nothing."""
    changes = []
    for measure, more_is_better in kept.items():
        if measure not in now or measure not in before or now[measure] == before[measure]:
            continue
        if (now[measure] > before[measure]) != more_is_better:
            changes.append(f"{measure} {before[measure]} -> {now[measure]}")
    return ", ".join(changes)
