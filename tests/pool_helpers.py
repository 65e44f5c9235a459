"""What the suites of the process pool share: functions for workers, arrays hard to send, what must not be left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import types
from dataclasses import dataclass
from pathlib import Path

import numpy as np

METHODS = ("forkserver", "spawn", "fork")

# ---- functions for workers


def echo(x):
    return x


def nothing():
    pass


def first_and_last(x):
    return x.flat[0], x.flat[-1]


def filled(shape, value):
    return np.full(shape, value)


def overwrite(x, value=-1):
    """Write to the argument; what was there, and what is."""
    before = x.flat[0]
    x[...] = value
    return before, x.flat[0]


KEPT = []


def keep(x):
    KEPT.append(x)
    return len(KEPT)


def kept(which=-1):
    return KEPT[which].copy()


def flags(x):
    return x.flags.writeable, x.flags.c_contiguous, x.flags.f_contiguous


def kill_self(number=signal.SIGKILL):
    os.kill(os.getpid(), number)
    time.sleep(10)


def segfault():
    import faulthandler

    faulthandler.disable()
    faulthandler._sigsegv()


def raises_what_it_keeps(x):
    """An error whose traceback leads to itself, and to the argument."""
    error = ValueError(len(x))
    raise error


def length_later(x, gate):
    """As soon as somebody sets `gate`, a shared array."""
    wait_for(lambda: gate[0], 60)
    return len(x)


def set_one(x, i):
    x[i] = 1


def hang_up(code=0):
    os._exit(code)


def leave(code=0):
    sys.exit(code)


def become_nobody():
    os.setgid(65534)
    os.setuid(65534)


def raises(kind=ValueError, *args):
    raise kind(*args)


def slow_pid(seconds=0.05):
    time.sleep(seconds)
    return os.getpid()


@dataclass
class Record:
    name: str
    values: np.ndarray
    more: dict


class Tagged(np.ndarray):
    """A subclass that pickles as NumPy's arrays do."""


class Measured(np.ndarray):
    """A subclass that pickles by itself."""

    def __reduce__(self):
        function, args, state = super().__reduce__()
        return function, args, (state, self.unit)

    def __setstate__(self, state):
        super().__setstate__(state[0])
        self.unit = state[1]


# ---- objects that fail


class Fails:
    """Raises, exits or crashes where it is pickled, or where it is unpickled."""

    def __init__(self, when, how, *args):
        self.when, self.how, self.args = when, how, args

    def __reduce__(self):
        if self.when == "pickle":
            self.how(*self.args)
        return self.how, self.args


def make_fails(*args):
    return Fails(*args)


class Awkward(Exception):
    """Pickles; does not unpickle."""

    def __init__(self, one, two):
        super().__init__(one)
        self.two = two


class Keyword(OSError):
    def __init__(self, *, path):
        super().__init__(2, "not there", path)


class New(ValueError):
    def __new__(cls, one, two):
        return super().__new__(cls, one)

    def __init__(self, one, two):
        super().__init__(one, two, len(one))


class Decode(UnicodeDecodeError):
    def __init__(self, at):
        super().__init__("utf-8", b"abc", at, at + 1, "no reason")


@dataclass(frozen=True)
class Frozen(Exception):
    """Refuses attributes, as its cause is one."""

    code: int


class Wordless(Exception):
    def __str__(self):
        raise ValueError("no words")

    __repr__ = __str__

    @property
    def __notes__(self):
        raise ValueError("no notes")

    def __reduce__(self):
        raise ValueError("no pickle")


class Speechless(Exception):
    """Ends who looks at it."""

    def __str__(self):
        raise SystemExit("speechless")

    def __getattr__(self, name):
        raise SystemExit(name)


class Homesick(Exception):
    """Comes out of its pickle where it was raised, and nowhere else."""

    def __setstate__(self, state):
        if state["home"] != os.getpid():
            raise KeyError("home")
        self.__dict__.update(state)


class Reduces(Exception):
    """Pickles by itself, to something else."""

    def __init__(self, function, *args):
        super().__init__("message")
        self.to = function, args

    def __reduce__(self):
        return self.to


class Once(Reduces):
    """Can be pickled one time."""

    def __reduce__(self):
        to, self.to = self.to, None
        return (Once, to[1]) if to else raises(ValueError, "once")

    def __init__(self, *args):
        super().__init__(None, *args)


class Causeless(Exception):
    """Has its own idea of its cause."""

    @property
    def __cause__(self):
        return None


class Locked(Awkward):
    """A property of it ends who sets it."""

    lock = property(lambda self: None, lambda self, value: sys.exit(3))


class Closed(Exception):
    """Can't be looked into."""

    def __getattribute__(self, name):
        raise RuntimeError(name)


class Quits(BaseException):
    def __init__(self, one, two):
        super().__init__(one, two, "three")


def raise_chained(error, **attributes):
    """With attributes, a note, and a cause."""
    for name, value in attributes.items():
        setattr(error, name, value)
    error.add_note("a note")
    try:
        raise KeyError("the cause")
    except KeyError as cause:
        raise error from cause


def raise_odd(name):
    """One of ODD."""
    raise_chained(ODD[name]()) if name.startswith("chained") else raise_it(ODD[name]())


def raise_it(error):
    raise error


def iter_nothing():
    yield from ()


def in_a_circle():
    error = Awkward(threading.Lock(), "two")
    error.itself = error
    return error


def in_a_web():
    """Exceptions that refer to each other, many times over, and one of which can't be pickled."""
    errors = [Awkward(number, "two") for number in range(4)]
    errors[-1].lock = threading.Lock()
    for error in errors:
        vars(error).update({f"other {number}": errors[number % 4] for number in range(8)})
    return errors[0]


def locked():
    error = Locked("one", "two")
    vars(error)["lock"] = threading.Lock()
    return error


def at_home(pid, here, there):
    return here if pid == os.getpid() else there


def homesick():
    error = Homesick("one")
    error.home = os.getpid()
    return error


def foreign():
    """Of a class that only the worker can import."""
    module = types.ModuleType("of_the_worker")
    module.Foreign = type("Foreign", (Awkward,), {"__module__": "of_the_worker"})
    sys.modules["of_the_worker"] = module
    return module.Foreign("one", "two")


def many():
    parts = [Awkward("one", "two"), ValueError(threading.Lock()), KeyError("key")]
    return ExceptionGroup("several", [*parts, ExceptionGroup("inside", parts), OSError(2, "no", "file")])


# Exceptions that plain pickle, or who sends it, can't cope with; and what a future is to have.
ODD = {
    "another __init__": lambda: Awkward("one", "two"),
    "chained": lambda: Awkward("one", "two"),
    "keywords": lambda: Keyword(path="file"),
    "another __new__": lambda: New("one", "two"),
    "of a codec": lambda: Decode(1),
    "a lock": lambda: ValueError("one", threading.Lock(), 3),
    "chained, a generator": lambda: Awkward("one", iter_nothing()),
    "in a circle": in_a_circle,
    "in a web": in_a_web,
    "pickled once": lambda: Once("one"),
    "no cause": lambda: Causeless("one"),
    "an exit in a property": locked,
    "closed": lambda: Closed("one"),
    "a number elsewhere": lambda: Reduces(at_home, os.getpid(), KeyError("key"), 3),
    "a class elsewhere": lambda: Reduces(at_home, os.getpid(), KeyError("key"), KeyError),
    "frozen": lambda: Frozen(5),
    "wordless": lambda: Wordless("one"),
    "not an exception": lambda: Reduces(str, "text"),
    "unpickling raises": lambda: Reduces(raises, KeyError, "key"),
    "unpickling exits": lambda: Reduces(sys.exit, 3),
    "unpickling divides by zero": lambda: Reduces(divmod, 1, 0),
    "a local class": lambda: type("Local", (Awkward,), {"__module__": "nowhere"})("one", "two"),
    "an array": lambda: Awkward(np.arange(1 << 17), "two"),
    "a group": many,
    "an exit": lambda: Quits("one", "two"),
    "speechless": lambda: Speechless("one"),
    "homesick": homesick,
    "foreign": foreign,
    "a foreign group": lambda: ExceptionGroup("foreign", [foreign(), KeyError("key")]),
}


def cause_of(error):
    """Where it was raised, whatever it says of that itself."""
    return str(vars(BaseException)["__cause__"].__get__(error))


def check_odd(name, error):
    """Whether an exception is what ODD[name] made, as far as it can be."""
    made = ODD[name]()
    sys.modules.pop("of_the_worker", None)
    assert type(error) is (Awkward if name in ("a local class", "foreign") else type(made))
    if issubclass(type(made), (Wordless, Speechless, Closed)):
        return
    if isinstance(made, Awkward):
        assert error.two == "two" or "generator" in error.two
    if name == "chained":
        assert error.__notes__ == ["a note"]
    if name == "a local class":
        assert "was a nowhere.Local" in error.__notes__[0]
    if isinstance(made, OSError):
        assert (error.errno, error.filename) == (2, "file")
    if isinstance(made, UnicodeDecodeError):
        assert (error.start, error.object, error.reason) == (1, b"abc", "no reason")
    if name == "a lock":
        assert (error.args[0], error.args[2]) == ("one", 3)
        assert "lock" in error.args[1]
    elif name == "an array":
        np.testing.assert_array_equal(error.args[0], np.arange(1 << 17))
    elif name == "foreign":
        assert error.__notes__ == ["(the exception was a of_the_worker.Foreign, which can't be unpickled)"]
    elif name == "a foreign group":
        assert error.message == "foreign"
        assert [type(each) for each in error.exceptions] == [Awkward, KeyError]
    elif name == "a group":
        for group in (error, error.exceptions[3]):
            assert [type(each) for each in group.exceptions[:3]] == [Awkward, ValueError, KeyError]
            assert group.exceptions[0].two == "two"
            assert "lock" in group.exceptions[1].args[0]
        assert error.message == "several"
        assert error.exceptions[4].filename == "file"
    elif name != "in a circle":
        assert error.args == made.args


# ---- arrays

STRUCTURED = np.dtype([("when", "M8[s]"), ("x", "f4", (3,)), ("name", "S5"), ("deep", [("flag", "?"), ("n", ">i2")])])


def arrays():
    """Names and arrays of every kind that is not plain pickle-5."""
    base = np.arange(24.0).reshape(2, 3, 4)
    structured = np.zeros(7, STRUCTURED)
    structured["x"] = np.arange(21).reshape(7, 3)
    structured["name"] = b"abc"
    readonly = np.arange(5)
    readonly.flags.writeable = False
    masked = np.ma.masked_greater(np.arange(10.0), 6, copy=True)
    masked.fill_value = -1
    hard = np.ma.masked_equal(np.arange(6).reshape(2, 3), 4)
    hard.harden_mask()
    tagged = np.arange(4.0).view(Tagged)
    return {
        "plain": base,
        "fortran": np.asfortranarray(base),
        "transposed": base.transpose(1, 0, 2),
        "strided": base[:, ::2, 1::2],
        "reversed": base[::-1, :, ::-1],
        "column": base[0, :, 1],
        "broadcast": np.broadcast_to(np.arange(3.0), (5, 3)),
        "broadcast scalar": np.broadcast_to(7, (4, 4)),
        "windows": np.lib.stride_tricks.sliding_window_view(np.arange(20), 6),
        "reversed windows": np.lib.stride_tricks.sliding_window_view(np.arange(20), 6)[::-1, ::-1],
        "writable windows": np.lib.stride_tricks.as_strided(np.arange(9), (4, 3), (8, 8)),
        "read-only": readonly,
        "read-only strided": readonly[::2],
        "empty": np.empty((0, 3)),
        "empty strided": np.empty((4, 0, 3))[::2],
        "0-d": np.array(3.5),
        "0-d structured": structured[2:3].reshape(()),
        "structured": structured,
        "structured field": structured["x"],
        "record array": structured.view(np.recarray),
        "datetime": np.arange("2000-01-01", "2000-02-01", dtype="M8[D]"),
        "datetime strided": np.arange("2000-01-01", "2000-02-01", dtype="M8[D]")[::3],
        "timedelta": np.arange(5, dtype="m8[ms]"),
        "bool": np.array([True, False]),
        "strings": np.array(["a", "bcd"]),
        "bytes": np.array([b"a", b"bcd"]),
        "void": np.zeros(3, "V7"),
        "nothing wide": np.zeros(3, "S0"),
        "big-endian": np.arange(5, dtype=">i4"),
        "complex": np.array([1j, 2]),
        "half": np.arange(4, dtype="f2"),
        "long": np.arange(4, dtype=np.longdouble),
        "object": np.array([1, "two", None], dtype=object),
        "object structured": np.array([(1, [2])], dtype=[("a", int), ("b", object)]),
        "masked": masked,
        "masked strided": masked[::2],
        "masked, no mask": np.ma.array([1, 2]),
        "masked hard": hard,
        "masked structured": np.ma.array(structured, mask=[True] + 6 * [False]),
        "subclass": tagged,
        "subclass strided": tagged[::3],
        "matrix": np.arange(6).reshape(2, 3).view(np.matrix),
        "variable strings": np.array(["short", "a string that does not fit in fifteen bytes"], np.dtypes.StringDType()),
    }


def assert_same(got, want):
    assert type(got) is type(want)
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    assert got.flags.writeable == want.flags.writeable
    if isinstance(want, np.ma.MaskedArray):
        np.testing.assert_array_equal(np.ma.getmaskarray(got), np.ma.getmaskarray(want))
        assert (got.mask is np.ma.nomask) == (want.mask is np.ma.nomask)
        assert np.array(got.fill_value).tobytes() == np.array(want.fill_value).tobytes()
        assert got.hardmask == want.hardmask
    if want.dtype.names and not want.dtype.hasobject:
        assert got.tobytes() == want.tobytes()
    else:
        np.testing.assert_array_equal(np.asarray(got), np.asarray(want))


# ---- what is left


def open_files():
    """What this process has open, but for what the interpreter's own helpers hold."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return found


def memory_files():
    return [name for name in open_files() if name.startswith("/memfd:allcores")]


def shared_names():
    return sorted(name for name in os.listdir("/dev/shm") if name.startswith(("allcores", "psm_", "ac")))


def left_names(before, seconds=10.0):
    """Names that were not there before and that stay. (Those of other tests, run at the same time, go.)"""
    left = set(shared_names()) - set(before)
    wait_for(lambda: not left & set(shared_names()), seconds)
    return left & set(shared_names())


def children(pid=None):
    """Processes whose parent is this one, or `pid`."""
    pid = os.getpid() if pid is None else pid
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(entry.name))
    return found


def alive(pid):
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def marked(mark):
    """Processes with a variable of their environment set: those that a script has started, and theirs."""
    wanted = f"ALLCORES_TEST_MARK={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0") and alive(int(entry.name)):
                    found.append(int(entry.name))
    return found


def wait_for(condition, seconds=10.0):
    """Whether a condition comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


# ---- scripts

PRELUDE = """\
    import atexit, os, signal, sys, threading, time
    import numpy as np
    import allcores as ac
    from concurrent.futures import wait
    from allcores.futures import BrokenProcessPool, ProcessPoolExecutor
    from pool_helpers import *
"""


def path_of_programs(*more):
    """PYTHONPATH of a program that imports these helpers, and the package that is tested here."""
    paths = [str(Path(__file__).parent), *map(str, more), os.environ.get("PYTHONPATH", "")]
    return os.pathsep.join(filter(None, paths))


class Script:
    """A program of its own, in a file, whose processes can all be found again.

    `command` is how a shell runs it: with {python} and {path}.
    """

    def __init__(self, folder, code, *, guard=True, session=True, env=None, command="exec {python} {path}"):
        body = textwrap.dedent(code)
        if guard:
            body = "if __name__ == '__main__':\n" + textwrap.indent(body, "    ")
        self.path = Path(folder) / "script.py"
        self.path.write_text(textwrap.dedent(PRELUDE) + body)
        self.mark = f"{os.getpid()}-{time.monotonic_ns()}"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ALLCORES_")}
        environment |= {"ALLCORES_TEST_MARK": self.mark, "PYTHONPATH": path_of_programs(), **(env or {})}
        self.process = subprocess.Popen(
            ["bash", "-c", command.format(python=sys.executable, path=self.path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=folder,
            start_new_session=session,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        # Those that it has started hold its pipes: what it has written ends with the last of them.
        while left := [pid for pid in marked(self.mark) if pid != self.process.pid]:
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        self.process.communicate()

    def line(self):
        return self.process.stdout.readline().strip()

    def finish(self, timeout=60):
        out, err = self.process.communicate(timeout=timeout)
        return out.split(), err, self.process.returncode

    def processes(self):
        return marked(self.mark)

    def gone(self, seconds=5.0):
        """Whether every process that it has started ends in time."""
        return wait_for(lambda: not self.processes(), seconds)


def run_script(folder, code, timeout=60, **options):
    """Run a script to its end; nothing may be left of it."""
    names = shared_names()
    with Script(folder, code, **options) as script:
        result = script.finish(timeout)
        assert script.gone(), [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in script.processes()]
    assert not left_names(names)
    return result
