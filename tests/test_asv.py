"""What asv times, called once each on small arrays: every public function of arrays is among it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from helpers import COMPUTING

import allcores as ac

HOME = Path(__file__).parent.parent / "benchmarks" / "asv"


@pytest.fixture(scope="module")
def suite():
    if not HOME.is_dir():
        pytest.skip("the tests are not in a checkout")
    spec = importlib.util.spec_from_file_location("suite_functions", HOME / "suite" / "functions.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.PLACES = {
        "long": ((7000,), None),
        "axis 0": ((260, 28), 0),
        "axis 1": ((26, 280), 1),
        "small": ((1000,), None),
    }
    return module


def families(suite):
    return [value for name, value in vars(suite).items() if isinstance(value, type) and hasattr(value, "params")]


def test_every_function_is_there(suite):
    names = [name for family in families(suite) for name in family.functions]
    assert sorted(names) == sorted(COMPUTING)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_call_works(suite):
    skipped = set()
    for family in families(suite):
        for name in family.functions:
            for place in suite.PLACES:
                benchmark = family()
                try:
                    benchmark.setup(name, place, "one worker")
                except NotImplementedError:
                    skipped.add(name)
                    continue
                assert ac.get_workers() == 1
                benchmark.time_call(name, place, "one worker")
                benchmark.teardown()
    assert skipped == {"replace", "searchsorted", "unique", "unique_counts", "unique_values"}


def test_the_configuration_is_where_it_says():
    if not HOME.is_dir():
        pytest.skip("the tests are not in a checkout")
    configuration = json.loads((HOME / "asv.conf.json").read_text())
    assert (HOME / configuration["benchmark_dir"] / "functions.py").is_file()
    assert (HOME / configuration["repo"] / "pyproject.toml").is_file()
