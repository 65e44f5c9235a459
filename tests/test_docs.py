"""The Python blocks of README.md and docs/ run, links lead somewhere, and the reference lists what is public.

Programs of docs/clusters.md are run by test_cluster_docs.py.
"""

from __future__ import annotations

import doctest
import importlib.util
import logging
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import allcores as ac
from allcores import futures, sources

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
if not DOCS.exists():
    pytest.skip("the documentation is not here", allow_module_level=True)

WRITTEN = sorted([*DOCS.glob("*.md"), *DOCS.glob("architecture/*.md")])  # the rest of docs/ is made by Sphinx
PAGES = [ROOT / "README.md", *WRITTEN]
BLOCK = re.compile(r"^( *)```python\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
EXTRAS = {"zarr", "h5py", "loky", "distributed", "ray", "mpi4py", "cloudpickle", "tqdm", "pandas", "joblib"}


def blocks(page: Path) -> list[str]:
    return [text for _, text in BLOCK.findall(page.read_text(encoding="utf-8"))]


def run_program(text: str, folder: Path) -> None:
    """As a script: `if __name__ == "__main__":` is there for worker processes."""
    script = folder / "script.py"
    script.write_text(text, encoding="utf-8")
    command = [sys.executable, "-W", "error", str(script)]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert (result.stderr, result.returncode) == ("", 0)


def run_doctest(text: str, names: dict[str, object], title: str) -> None:
    test = doctest.DocTestParser().get_doctest(text, names, title, None, None)
    assert test.examples
    runner = doctest.DocTestRunner()
    runner.run(test, clear_globs=False)
    names.update(test.globs)
    assert not runner.failures


@pytest.fixture
def logs_as_before():
    root, ours = logging.getLogger(), logging.getLogger("allcores")
    handlers, level = root.handlers[:], ours.level
    yield
    root.handlers[:] = handlers
    ours.setLevel(level)


@pytest.mark.usefixtures("logs_as_before")
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name != "clusters.md" and blocks(page)],
    ids=lambda page: page.name,
)
def test_blocks(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for text in blocks(page):
        wanted = set(re.findall(r"^\s*(?:import|from) (\w+)", text, re.MULTILINE)) & EXTRAS
        if missing := [name for name in wanted if importlib.util.find_spec(name) is None]:
            pytest.skip(f"{', '.join(missing)} is not installed")
        if ">>>" in text:
            run_doctest(text, names, page.name)
        elif "__main__" in text:
            run_program(text, tmp_path)
        else:
            exec(compile(text, page.name, "exec"), names)


# ---- links


def anchors(page: Path) -> set[str]:
    """As GitHub and MyST make them of headings."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL), re.M
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "page",
    [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "benchmarks" / "README.md"],
    ids=lambda page: page.name,
)
def test_links(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def script(path: Path) -> ModuleType:
    """A program beside the package, as a module."""
    spec = importlib.util.spec_from_file_location(f"script_{path.stem}", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- pictures


def test_pictures_are_of_the_tables():
    """Drawn anew (`python benchmarks/plot.py`) since their numbers changed?"""
    module = script(ROOT / "benchmarks" / "plot.py")
    for picture in module.pictures(module.PAGE.read_text(encoding="utf-8")):
        assert all(len(bars) > 10 for bars in picture.panels.values())
        assert picture.digest in (module.IMAGES / f"{picture.name}.svg").read_text(encoding="utf-8"), picture.name


# ---- the reference


def listed() -> list[str]:
    """The names in the lists of the reference."""
    text = (DOCS / "reference.rst").read_text(encoding="utf-8")
    return [name for part in text.split(":toctree: generated\n\n")[1:] for name in part.split("\n\n")[0].split()]


def test_reference_is_of_the_registry():
    """Written anew (`python docs/reference.py --write`) since a row changed?"""
    assert script(DOCS / "reference.py").page() == (DOCS / "reference.rst").read_text(encoding="utf-8")


def test_reference():
    names = listed()
    assert len(names) == len(set(names))
    assert set(ac.__all__) - {"fallback"} == {name for name in names if "." not in name}
    assert set(sources.__all__) <= set(names)
    ours = set(futures.__all__) - {"BrokenProcessPool"}  # the standard library's
    assert {name for name in ours if name not in ac.__all__} <= {name.removeprefix("futures.") for name in names}


def test_every_page_is_in_a_toctree():
    """What no list leads to is not found. (index.md is the root.)"""
    trees = "".join(
        tree
        for page in WRITTEN
        for tree in re.findall(r"```{toctree}.*?```", page.read_text(encoding="utf-8"), re.DOTALL)
    )
    for page in WRITTEN:
        name = page.relative_to(DOCS).with_suffix("").as_posix()
        assert name == "index" or re.search(rf"(^|<){name}>?$", trees, re.MULTILINE), name
