"""What a developer does: `nox -s build`, `test`, `lint`, `types`, `docs`, `bench`, each in its own environment."""

from __future__ import annotations

import shutil
from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "test"]
nox.options.reuse_existing_virtualenvs = True
nox.needs_version = ">=2024.4.15"

# A failed compilation is an error here, not a pure-Python package.
KERNELS = {"ALLCORES_REQUIRE_KERNELS": "1"}


@nox.session
def build(session: nox.Session) -> None:
    """Wheel and source distribution to dist/, checked."""
    session.install("build")
    session.run("python", "-m", "build", env=KERNELS)
    session.run("bash", "tests/check_wheel.sh", external=True)


@nox.session
def test(session: nox.Session) -> None:
    """The tests of every day; arguments after -- go to pytest: `-m extended` for the others, `-m ""` for all."""
    session.install(".[test]", env=KERNELS)
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """ruff, cython-lint, and zizmor and the schema for the workflows."""
    session.install("ruff>=0.6", "cython-lint>=0.16", "zizmor>=1.20", "check-jsonschema>=0.30")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("cython-lint", "ext")
    session.run("zizmor", "--offline", "--quiet", ".github")
    workflows = sorted(str(path) for path in Path(".github/workflows").glob("*.yml"))
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict, and both mypy and pyright of what users see: of the sources, nothing is compiled."""
    session.install("mypy>=1.11", "basedpyright>=1.29", "numpy>=2.0")
    session.run("mypy", *session.posargs)
    session.run("basedpyright")


@nox.session
def docs(session: nox.Session) -> None:
    """The site to docs/_build/html, without a warning; what its pages and examples say is run."""
    session.install(".[docs,test]", "bottleneck>=1.4", env=KERNELS)
    for made in ("_build", "generated", "gallery"):
        shutil.rmtree(Path("docs") / made, ignore_errors=True)
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html")
    session.run(
        "python", "-m", "pytest", "-q", "tests/test_docs.py", "tests/test_coming_from.py", "tests/test_examples.py"
    )


@nox.session
def bench(session: nox.Session) -> None:
    """Side by side with NumPy and whatever else is there; arguments after -- go to `allcores bench`."""
    session.install(".[bench]", env=KERNELS)
    session.run("python", "-m", "allcores", "bench", *(session.posargs or ["--quick"]))


@nox.session
def asv(session: nox.Session) -> None:
    """Every function by asv, of what is checked out; arguments after -- go to `asv run`."""
    session.install("asv>=0.6.4", ".", env=KERNELS)
    session.chdir("benchmarks/asv")
    session.run("asv", "machine", "--yes", silent=True)
    session.run("asv", "check", "--python=same")
    session.run("asv", "run", "--python=same", *(session.posargs or ["--quick"]))
