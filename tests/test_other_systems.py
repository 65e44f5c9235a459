"""Windows and macOS as far as Linux can play them: what their Python lacks is taken away, in workers too."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

SCRIPT = """
import builtins, os, signal, sys

LACKING = {lacking!r}
for name in LACKING:
    for module in (os, signal):
        if hasattr(module, name):
            delattr(module, name)

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
