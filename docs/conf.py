"""The site: `nox -s docs`, or `sphinx-build -W --keep-going -b html docs docs/_build/html`. Nothing is downloaded."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import matplotlib

import allcores

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"

# What an example takes from another, also in worker processes, which inherit this.
sys.path.insert(0, str(EXAMPLES))
matplotlib.use("Agg")

project = "allcores"
author = "The allcores developers"
project_copyright = author
version = release = allcores.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]

# ---- pages

myst_heading_anchors = 3
highlight_language = "none"  # blocks that say what they are, are
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# Pages read well on GitHub, where links lead to files beside docs/; some of these files are pages here.
ELSEWHERE = {
    "../README.md": "index.md",
    "../CONTRIBUTING.md": "contributing.md",
    "../CHANGELOG.md": "changelog.md",
    "../benchmarks/README.md": "measuring.md",
    "../examples/": "gallery/index.rst",
}

# ---- docstrings

default_role = "py:obj"  # `names` in docstrings are links, where they are known
autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
numpydoc_validation_checks = {
    "all",
    "ES01",  # a summary in one line may be all there is to say
    "EX01",  # what inherits its meaning from the standard library has no example
    "SA01",  # not everything has a relative
    "SS05",  # takes "Quantiles of" for a verb
    "PR04",  # several parameters may be "as in `map_blocks`"
    "PR08",  # a description may begin with a name
    "RT04",
    "YD01",  # `with` blocks get nothing
}
# Those of the standard library, and those that users get but don't make.
numpydoc_validation_exclude = {
    r"\.(submit|shutdown)$",
    r"\.BackgroundFuture(\.(running|result|exception))?$",
    r"\.BlockFailure$",
}

# ---- gallery

sphinx_gallery_conf = {
    "examples_dirs": str(EXAMPLES),
    "gallery_dirs": "gallery",
    "filename_pattern": r"plot_",
    "ignore_pattern": r"distances\.py",  # a program for the shell, of which an example takes functions
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "abort_on_example_error": True,
    "remove_config_comments": True,
    "min_reported_time": 1e9,
    "write_computation_times": False,
    "image_srcset": ["2x"],
}

# ---- looks

html_theme = "pydata_sphinx_theme"
html_title = f"allcores {release}"
html_static_path = ["_static"]
html_css_files = ["allcores.css"]
html_show_sourcelink = False
html_use_index = False  # the reference is one, by family
html_sidebars = {"index": [], "getting-started": [], "coming-from": [], "changelog": [], "contributing": []}
html_theme_options = {
    "logo": {"text": "allcores"},
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
}


def links(app: Any, name: str, source: list[str]) -> None:
    up = "../" * name.count("/")  # from a page in a folder of docs/ to docs/

    def here(match: re.Match[str]) -> str:
        path = match[1].removeprefix(up)
        return f"]({up}{ELSEWHERE[path]}" if path in ELSEWHERE else match[0]

    source[0] = re.sub(r"\]\((\.\./[^)#]*)", here, source[0])


def setup(app: Any) -> None:
    app.connect("source-read", links)
