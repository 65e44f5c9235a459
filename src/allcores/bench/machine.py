"""Where it was measured: what numbers mean nothing without."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..config import show_config

LARGEST_CACHE = 32 << 20  # assumed where the system does not tell


def cpu_model(path: str = "/proc/cpuinfo") -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "Hardware"):
            return value.strip()
    return platform.processor() or platform.machine()


@cache
def largest_cache(root: str = "/sys/devices/system/cpu/cpu0/cache") -> int:
    """Bytes of the largest cache: what is longer comes from memory."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    sizes = []
    for path in Path(root).glob("index*/size"):
        try:
            text = path.read_text().strip()
            sizes.append(int(text[:-1]) * units[text[-1]])
        except (OSError, ValueError, KeyError, IndexError):
            continue
    return max(sizes, default=LARGEST_CACHE)


def describe(peers: dict[str, str]) -> dict[str, Any]:
    """The machine and the versions; `peers` are the names and versions of the packages compared with."""
    config = show_config(mode="dicts")
    return {
        "cpu": cpu_model(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": config["workers"]["affinity"],
        "quota": config["workers"]["quota"],
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "largest_cache": largest_cache(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "allcores": config["allcores"],
        "backend": config["backend"]["name"],
        "workers": config["workers"]["number"],
        "peers": peers,
    }
