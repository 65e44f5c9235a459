"""Fixtures: a team on small arrays, the door for small arrays open or closed, and every backend."""

from __future__ import annotations

import pytest
from helpers import ALL_BACKENDS, BACKENDS

from allcores._engine import place, reduction, settings


def pytest_report_header() -> str:
    return f"allcores backends: {', '.join(BACKENDS)}"


@pytest.fixture
def team(monkeypatch):
    """Three workers on any array, in chunks of about 64 elements, and never the door for small arrays."""
    monkeypatch.setattr(place, "threshold", 0)
    monkeypatch.setattr(reduction, "chunk_size", 64)
    monkeypatch.setattr(settings, "doors", False, raising=False)
    with settings.set_workers(3):
        yield


@pytest.fixture
def engine_only(monkeypatch):
    """No door for small arrays: calls go through the engine."""
    monkeypatch.setattr(settings, "doors", False, raising=False)


@pytest.fixture(params=[True, False], ids=["door", "no-door"])
def door(request, monkeypatch):
    """Small arrays through the compiled door where there is one, and not."""
    monkeypatch.setattr(settings, "doors", request.param, raising=False)
    return request.param


@pytest.fixture(params=ALL_BACKENDS)
def backend(request):
    """Each backend that is installed; a level that this CPU lacks is skipped visibly."""
    if request.param not in BACKENDS:
        pytest.skip(f"this CPU does not run {request.param}")
    with settings.use_backend(request.param):
        yield request.param
