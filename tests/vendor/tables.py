"""The tables of bench/vendor: what compilers report of each kernel, and what may not change."""
import reports

KEY = ("kernels", "config", "layer", "pass", "kernel")


class Table:
    """A family's kernels: {key: {target: measures}}, and by which compilers."""

    def __init__(self, family, targets, version):
        self.family, self.targets, self.version = family, targets, version
        self.kept = reports.KEPT[family.partition("-")[0]]
        self.rows = {}

    def write(self, path):
        """Tab-separated, a line for each kernel: for people, and for diff."""
        columns = [(target, measure) for target in self.targets for measure in self.kept]
        lines = [f"# {self.version}",
                 "\t".join([*KEY, *(f"{target} {measure}" for target, measure in columns)])]
        for key, found in sorted(self.rows.items()):
            lines.append("\t".join([*key, *(str(found.get(target, {}).get(measure, "-"))
                                            for target, measure in columns)]))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path, family):
        lines = path.read_text(encoding="utf-8").splitlines()
        columns = [name.split(" ") for name in lines[1].split("\t")[len(KEY):]]
        targets = tuple(dict.fromkeys(target for target, _ in columns))
        table = cls(family, targets, lines[0].removeprefix("# "))
        for line in lines[2:]:
            cells = line.split("\t")
            row = table.rows.setdefault(tuple(cells[:len(KEY)]), {})
            for (target, measure), cell in zip(columns, cells[len(KEY):]):
                if cell != "-":
                    row.setdefault(target, {})[measure] = int(cell)
        return table

    def compare_with(self, path):
        """What breaks the rule, in words, and what is to be said of the comparison, or None."""
        if not path.exists():
            return [f"{path} is missing; --update writes it"], None
        before = self.read(path, self.family)
        findings = self.compare_kernels(before)
        if before.version != self.version:
            return findings, (f"{self.family}: not compared: the table is by {before.version}, here "
                              f"is {self.version}")
        return findings + self.compare_measures(before), None

    def compare_kernels(self, before):
        """A table is of what clnet compiles now."""
        gone = [f"{describe(key)} is in the table of {self.family}, and compiled no more"
                for key in sorted(before.rows.keys() - self.rows.keys())]
        new = [f"{describe(key)} is not in the table of {self.family}"
               for key in sorted(self.rows.keys() - before.rows.keys())]
        return gone + new

    def compare_measures(self, before):
        findings = []
        for key, found in self.rows.items():
            for target, measures in found.items():
                change = reports.worse(self.kept, measures,
                                       before.rows.get(key, {}).get(target, {}))
                if change:
                    findings.append(f"{describe(key)} got worse for {target}: {change}")
        return findings

    def list_spills(self):
        """What of a kernel is in memory that should be in registers."""
        return [f"{describe(key)} does not fit {target}: {reports.spills(measures)}"
                for key, found in self.rows.items() for target, measures in found.items()
                if reports.spills(measures)]


def write_section(path, name, text):
    """Puts text between the markers of that name in a page."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    head, found, rest = path.read_text(encoding="utf-8").partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{path}: no section {name}")
    path.write_text(head + begin + text + end + tail, encoding="utf-8")


def worst_of(found):
    """The worst of kernels' measures, each by itself."""
    worst = {}
    for family, measures in found:
        for measure, more_is_better in reports.KEPT[family].items():
            if measure in measures:
                pick = min if more_is_better else max
                worst[measure] = pick(worst.get(measure, measures[measure]), measures[measure])
    return worst


# What a page says of each family: the measures, and in what words.
SAID = {"nvidia": ("registers", "warps"), "amd": ("vgprs", "waves"), "intel": ("simd",)}


def fits(all_tables):
    """Markdown: for each kernel that training takes, the worst by GPU."""
    names, cells = {}, {}
    columns = [(table, target) for table in all_tables for target in table.targets]
    for table, target in columns:
        family = table.family.partition("-")[0]
        found = {}
        for (technique, _, _, _, function), row in table.rows.items():
            if technique == "auto" and target in row:
                found.setdefault(function.partition(" ")[0], []).append((family, row[target]))
        for function, measures in found.items():
            names[function] = None
            worst = worst_of(measures)
            cells[function, target] = ", ".join(str(worst[measure]) for measure in SAID[family])
    heads = [f"{target}: {', '.join(SAID[table.family.partition('-')[0]])}"
             for table, target in columns]
    lines = ["| kernel | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    for function in sorted(names):
        lines.append(f"| `{function}` | " + " | ".join(cells.get((function, target), "")
                                                       for _, target in columns) + " |")
    return "\n".join(lines) + "\n"


def summary(all_tables):
    """Markdown: how many kernels each compiler was shown."""
    lines = ["| GPU | compiled by | kernels | that spill |", "|---|---|---:|---:|"]
    for table in all_tables:
        for target in table.targets:
            rows = [row[target] for row in table.rows.values() if target in row]
            spilled = sum(bool(reports.spills(row)) for row in rows)
            lines.append(f"| {GPUS[target]} | {table.version} | {len(rows)} | {spilled} |")
    return "\n".join(lines) + "\n"


GPUS = {
    "sm_70": "NVIDIA Volta (sm_70)", "sm_80": "NVIDIA Ampere (sm_80)",
    "sm_90": "NVIDIA Hopper (sm_90)", "gfx906": "AMD Vega 20 (gfx906)",
    "gfx90a": "AMD CDNA 2 (gfx90a)", "gfx1030": "AMD RDNA 2 (gfx1030)",
    "kbl": "Intel UHD 600 (kbl)", "tgllp": "Intel Iris Xe (tgllp)",
    "acm-g10": "Intel Arc A700 (acm-g10)", "pvc": "Intel Max (pvc)",
}


def describe(key):
    technique, config, layer, work, function = key
    return f"{function} ({work} of {layer} in {config}.cfg, {technique})"
