#!/usr/bin/env python3
"""What tests/vendor/compile must not overlook: kernels that do not fit, that got worse, that no
compiler takes, and reports that it cannot read. With the compilers that are installed."""
import importlib.machinery
import importlib.util
import pathlib
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import reports  # noqa: E402
import tables  # noqa: E402


def load_compile():
    loader = importlib.machinery.SourceFileLoader("compile", str(HERE / "compile"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("compile", loader))
    loader.exec_module(module)
    return module


COMPILE = load_compile()

# 320 numbers that are alive at once, more than any GPU's work-item has registers for.
CROWDED = """
kernel __attribute__((reqd_work_group_size(64, 1, 1))) void crowded(global float *a, int n) {
    float v[320];
    _Pragma("clang loop unroll(full)") for (int i = 0; i < 320; i++) v[i] = a[i * 64];
    for (int k = 0; k < n; k++) {
        _Pragma("clang loop unroll(full)") for (int i = 0; i < 320; i++)
            v[i] = v[i] * v[(i + 7) % 320] + a[k];
    }
    _Pragma("clang loop unroll(full)") for (int i = 0; i < 320; i++) a[i * 64] = v[i];
}
"""
# An array whose place is told only when it runs.
INDEXED = """
kernel void indexed(global int *a, int n) {
    int v[100];
    for (int i = 0; i < 100; i++) v[i] = a[i];
    for (int i = 0; i < n; i++) v[a[i] % 100] += v[a[i + 1] % 100];
    for (int i = 0; i < 100; i++) a[i] = v[i];
}
"""
ROOMY = """
kernel __attribute__((reqd_work_group_size(64, 1, 1))) void roomy(global float *a) {
    local float v[64];
    v[get_local_id(0)] = a[get_global_id(0)];
    barrier(CLK_LOCAL_MEM_FENCE);
    a[get_global_id(0)] = v[63 - get_local_id(0)];
}
"""


class WithCompilers(unittest.TestCase):
    """Real kernels and real compilers."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.compilers = COMPILE.Compilers(pathlib.Path(self.folder.name))
        self.addCleanup(self.folder.cleanup)

    def compile(self, family, text):
        (self.compilers.folder / "kernel.cl").write_text(text, encoding="utf-8")
        return self.compilers.compile(family, ("kernel.cl", "-cl-std=CL1.2"))

    def families(self):
        for family, targets in COMPILE.TARGETS.items():
            if targets and self.compilers.targets(family):
                with self.subTest(family):
                    yield family

    def test_too_many_registers_are_found_by_every_compiler(self):
        for family in self.families():
            for target, report in self.compile(family, CROWDED).items():
                self.assertNotEqual(reports.spills(report["crowded"]), "", target)

    def test_private_memory_is_found_where_a_compiler_needs_it(self):
        found = {target: reports.spills(report["indexed"])
                 for family in ("nvidia", "amd") for target, report in
                 self.compile(family, INDEXED).items()}
        self.assertTrue(all(found.values()), found)

    def test_what_fits_has_no_spills_and_its_local_memory(self):
        names = {"nvidia": "shared", "amd": "lds", "intel": "local"}
        for family in self.families():
            for target, report in self.compile(family, ROOMY).items():
                self.assertEqual(reports.spills(report["roomy"]), "", target)
                self.assertEqual(report["roomy"][names[family.partition("-")[0]]], 256, target)

    def test_an_error_fails_with_every_compiler(self):
        for family in [*self.families(), "spirv"]:
            with self.assertRaises(COMPILE.Failure, msg=family):
                self.compile(family, ROOMY.replace("local float", "loocal float"))

    def test_a_warning_of_clang_fails(self):
        for family in [*self.families(), "spirv"]:
            if not family.startswith("intel"):
                with self.assertRaisesRegex(COMPILE.Failure, "unused variable"):
                    self.compile(family, ROOMY.replace("local float", "int unused; local float"))


class OfReports(unittest.TestCase):
    """Reports as compilers write them, and as they must not."""

    PTXAS = """ptxas info    : Compiling entry function 'f' for 'sm_80'
ptxas info    : Function properties for f
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 131 registers, used 1 barriers, 16896 bytes smem, 384 bytes cmem[0]
"""

    def test_ptxas_is_read(self):
        self.assertEqual(reports.read_ptxas(self.PTXAS), {"f": {
            "registers": 131, "spill": 0, "stack": 0, "shared": 16896}})

    def test_a_spill_in_a_report_of_ptxas_is_told(self):
        report = reports.read_ptxas(self.PTXAS.replace("0 bytes spill stores", "8 bytes spill stores"))
        self.assertEqual(reports.spills(report["f"]), "8 spill")

    def test_a_report_that_does_not_tell_of_spills_is_no_report(self):
        with self.assertRaisesRegex(ValueError, "does not tell spill, stack of f"):
            reports.read_ptxas(self.PTXAS.replace("spill", "overflow"))

    def test_an_empty_report_is_no_report(self):
        for read in (reports.read_ptxas, reports.read_amdgcn):
            with self.assertRaisesRegex(ValueError, "names no kernel"):
                read("")
        with self.assertRaisesRegex(ValueError, "no device binary"):
            reports.read_ocloc(b"", "")

    def test_warps_are_those_of_nvidias_occupancy_calculator(self):
        # 65,536 registers, by 256 a warp; 164 KiB of shared memory; 64 warps, 32 groups.
        self.assertEqual(reports.warps("sm_80", 32, 0, 256), 64)
        self.assertEqual(reports.warps("sm_80", 128, 0, 256), 16)
        self.assertEqual(reports.warps("sm_80", 129, 0, 256), 8)
        self.assertEqual(reports.warps("sm_80", 32, 48 << 10, 64), 6)
        self.assertEqual(reports.warps("sm_80", 16, 0, 32), 32)


class OfTables(unittest.TestCase):
    """A table as it was committed, and kernels that came, went and changed."""

    KEY = ("auto", "alexnet", "conv2", "forward", "conv_forward")

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "amd.tsv"
        self.table(vgprs=100, waves=4).write(self.path)

    def table(self, version="clang 1", **measures):
        table = tables.Table("amd", ("gfx906",), version)
        table.rows[self.KEY] = {"gfx906": {"sgprs": 30, "lds": 16896, **measures}}
        return table

    def findings(self, table):
        return table.compare_with(self.path)[0]

    def test_the_same_is_no_finding(self):
        self.assertEqual(self.findings(self.table(vgprs=100, waves=4)), [])

    def test_fewer_registers_are_no_finding(self):
        self.assertEqual(self.findings(self.table(vgprs=90, waves=5)), [])

    def test_more_registers_are_one(self):
        self.assertEqual(self.findings(self.table(vgprs=101, waves=4)), [
            "conv_forward (forward of conv2 in alexnet.cfg, auto) got worse for gfx906: "
            "vgprs 100 -> 101"])

    def test_less_occupancy_is_one(self):
        self.assertIn("waves 4 -> 3", self.findings(self.table(vgprs=100, waves=3))[0])

    def test_a_new_kernel_must_be_in_the_table(self):
        table = self.table(vgprs=100, waves=4)
        table.rows[(*self.KEY[:4], "another")] = {}
        self.assertIn("another (forward of conv2 in alexnet.cfg, auto) is not in the table",
                      self.findings(table)[0])

    def test_a_kernel_that_is_gone_must_not_be_in_the_table(self):
        table = self.table(vgprs=100, waves=4)
        table.rows.clear()
        self.assertIn("compiled no more", self.findings(table)[0])

    def test_another_compilers_registers_are_not_compared_and_that_is_said(self):
        findings, remark = self.table("clang 2", vgprs=200, waves=1).compare_with(self.path)
        self.assertEqual(findings, [])
        self.assertIn("amd: not compared: the table is by clang 1, here is clang 2", remark)

    def test_a_missing_table_is_a_finding(self):
        self.path.unlink()
        self.assertIn("is missing", self.findings(self.table())[0])

    def test_a_spill_is_found_in_a_table(self):
        self.assertIn("does not fit gfx906: 2 spill", self.table(vgprs=1, spill=2).list_spills()[0])


if __name__ == "__main__":
    unittest.main()
