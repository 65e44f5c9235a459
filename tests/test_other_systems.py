"""Windows and macOS as far as Linux can play them: what their Python lacks is taken away, in workers too."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = """
import builtins, os, signal, sys

LACKING = {lacking!r}
for name in LACKING:
    for module in (os, signal):
        if hasattr(module, name):
            delattr(module, name)

if hasattr(os, "process_cpu_count"):
    os.process_cpu_count = os.cpu_count  # as where there is no affinity

def without_files_of_linux(function):
    def call(path, *args, **kwargs):
        if isinstance(path, (str, bytes, os.PathLike)) and os.fsdecode(path).startswith(("/proc", "/sys")):
            raise FileNotFoundError(path)
        return function(path, *args, **kwargs)
    return call

os.open, os.listdir, builtins.open = map(without_files_of_linux, (os.open, os.listdir, builtins.open))

import numpy as np
import allcores as ac
from allcores.futures import ProcessPoolExecutor, share

def twice(x):
    return 2 * x

def main():
    assert not set(LACKING) & set(dir(os))
    config = ac.show_config("dicts")["workers"]
    assert config["quota"] is None and config["affinity"] == os.cpu_count(), config
    x = np.random.default_rng(0).normal(size=(2000, 1500))
    x[::50] = np.nan
    with ac.set_workers(3):
        assert ac.nansum(x) == ac.fallback.nansum(x)
        assert ac.submit(ac.nanmean, x, axis=0).result().shape == (1500,)
        np.testing.assert_array_equal(ac.map_blocks(np.abs, x), abs(x))
        np.testing.assert_array_equal(ac.nanvar(ac.open(sys.argv[1]), axis=0), ac.nanvar(np.load(sys.argv[1]), axis=0))
    shared = share(x)
    with ProcessPoolExecutor(2, threshold=0) as pool:
        np.testing.assert_array_equal(pool.submit(twice, x).result(), 2 * x)
        np.testing.assert_array_equal(ac.map_blocks(twice, shared, executor=pool), 2 * x)
        assert pool.transfer_stats()["bytes_shared"] >= x.nbytes
    print("done", type(pool._calls).__name__)

if __name__ == "__main__":
    main()
"""

FILES = ["memfd_create", "posix_fallocate", "posix_fadvise"]
LACKING = {
    "macOS": [*FILES, "sched_getaffinity", "sched_setaffinity"],
    "Windows": [
        *(*FILES, "sched_getaffinity", "sched_setaffinity", "fork", "register_at_fork", "getloadavg", "sysconf"),
        *("sysconf_names", "pread", "preadv", "pwrite", "pwritev", "O_NONBLOCK", "O_NOCTTY", "RTLD_NOLOAD"),
        *("pthread_sigmask", "SIG_BLOCK", "SIG_UNBLOCK", "SIG_SETMASK"),
    ],
}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is what all tests run on")
@pytest.mark.parametrize("system", LACKING)
def test_it_works_without(system, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(1).normal(size=(900, 700)))
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(lacking=LACKING[system]))
    command = [sys.executable, "-W", "error", str(script), str(tmp_path / "x.npy")]
    environment = {**os.environ, "ALLCORES_SEGMENTS": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("done QueuedCalls\n", "")


WRITTEN = ["cpu.pyx", "bitset.pxd", "cursor.pxd"]

# What MSVC has instead of gcc's built-in functions, as gcc has it.
INTRINSICS = """
#pragma once
#include <immintrin.h>
#include <stdint.h>
#define __int64 long long
static inline void __cpuidex(int *a, int leaf, int part) {
    __asm__("cpuid" : "=a"(a[0]), "=b"(a[1]), "=c"(a[2]), "=d"(a[3]) : "a"(leaf), "c"(part));
}
static inline void __cpuid(int *a, int leaf) { __cpuidex(a, leaf, 0); }
static inline void _BitScanForward64(unsigned long *at, uint64_t v) { *at = __builtin_ctzll(v); }
static inline void _BitScanReverse64(unsigned long *at, uint64_t v) { *at = 63 - __builtin_clzll(v); }
static inline int64_t _InterlockedExchangeAdd64(volatile __int64 *p, __int64 v) { return __sync_fetch_and_add(p, v); }
"""

MAIN = """
#include <stdio.h>
int main(void) {
    int64_t counter = 40;
    uint64_t v = 1, bits = 0, lowest = 0, highest = 0;
    for (int i = 0; i < 1000; i++) {
        v = v * 6364136223846793005u + 1442695040888963407u;
        uint64_t w = v >> (i % 60);
        w |= !w;
        bits += allcores_bits(w) != __builtin_popcountll(w);
        lowest += allcores_lowest(w) != __builtin_ctzll(w);
        highest += allcores_highest(w) != 63 - __builtin_clzll(w);
    }
    int64_t before = allcores_fetch_add(&counter, 2);
    printf("%d %d%d%d %d", allcores_level(), (int)bits, (int)lowest, (int)highest, (int)before);
    return (int)allcores_load(&counter);
}
"""


@pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="plays MSVC with gcc on x86-64")
def test_what_is_written_for_msvc(tmp_path):
    """The level of the CPU, bits of words and the counter of chunks, by MSVC's names."""
    cpu = pytest.importorskip("allcores._kernels.cpu", exc_type=ImportError)
    sources = Path(__file__).parent.parent / "ext"
    blocks = ((sources / name).read_text().split('"""\n    ')[1].split('"""')[0] for name in WRITTEN)
    (tmp_path / "intrin.h").write_text(INTRINSICS)
    (tmp_path / "main.c").write_text("\n".join(blocks) + MAIN)
    command = ["cc", "-D_MSC_VER=1940", "-D_M_X64", "-U__clang__", "-mxsave", "-I.", "main.c", "-o", "main"]
    try:
        subprocess.run(command, cwd=tmp_path, check=True, timeout=100)
    except FileNotFoundError:
        pytest.skip("no C compiler")
    done = subprocess.run([tmp_path / "main"], capture_output=True, text=True, timeout=10)
    assert (done.stdout, done.returncode) == (f"{cpu.level()} 000 40", 42)
