"""What the scripts here share: the machine, clnet's own figures, and results that outlive a kill."""
import json
import os
import pathlib
import platform
import resource
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = ROOT / "bench" / "README.md"


def say(text):
    print(text, file=sys.stderr, flush=True)


def machine():
    """What the figures depend on."""
    model = platform.processor()
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.split(":")[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"processor": model, "processors": len(os.sched_getaffinity(0)),
            "memory_gib": round(memory / 2**30, 1), "system": platform.system(),
            "kernel": platform.release()}


def describe(record):
    return (f"{record['processor']}, {record['processors']} processors, "
            f"{record['memory_gib']:.0f} GiB")


def run_json(command, seconds, env=None):
    """Runs a program that prints JSON: its value, or None and why not."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=seconds, env=env, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return None, lines[-1] if lines else f"status {done.returncode}"
    try:
        return json.loads(done.stdout), None
    except ValueError as error:
        return None, f"no JSON: {error}"


def peak_memory_of_children():
    """Bytes that the largest process so far took that was waited for."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


class Results:
    """A JSON file that is written after each measurement, whole or not at all; what it holds of the
    same machine and options is not measured again."""

    def __init__(self, path, options, fresh):
        self.path = pathlib.Path(path)
        self.data = {"machine": machine(), "options": options}
        if not fresh and self.path.exists():
            found = json.loads(self.path.read_text(encoding="utf-8"))
            if all(found.get(key) == self.data[key] for key in self.data):
                self.data = found
                say(f"going on with {self.path}; --fresh begins anew")

    def table(self, name):
        return self.data.setdefault(name, {})

    def save(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.data, indent=1) + "\n", encoding="utf-8")
        temporary.replace(self.path)


def write_section(name, text):
    """Puts text between the markers of that name in bench/README.md."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    page = README.read_text(encoding="utf-8")
    head, found, rest = page.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        sys.exit(f"{README}: no section {name}")
    README.write_text(head + begin + text + end + tail, encoding="utf-8")
