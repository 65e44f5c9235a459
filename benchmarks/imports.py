"""How long `import allcores` takes beyond `import numpy`: the median over fresh interpreters.

    python benchmarks/imports.py --repeat 21

Two measures, interleaved: the clock around the second import inside one interpreter, and the difference between whole
processes that do and don't import allcores. Then the modules that take longest by themselves (`python -X importtime`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from statistics import median

INSIDE = """
import json, sys, time
import numpy
before, begin = set(sys.modules), time.perf_counter()
import allcores
seconds = time.perf_counter() - begin
print(json.dumps([seconds, sorted(set(sys.modules) - before)]))
"""


# Or each interpreter compiles what was installed without bytecode.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def process(code: str, *options: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    begin = time.perf_counter()
    command = [sys.executable, *options, "-c", code]
    done = subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, text=True)
    return time.perf_counter() - begin, done


def by_module() -> dict[str, int]:
    """Microseconds that each module takes without what it imports."""
    report = process("import numpy, allcores", "-X", "importtime")[1].stderr
    rows = [line.removeprefix("import time:").split("|") for line in report.splitlines() if "|" in line][1:]
    return {name.strip(): int(own) for own, _, name in rows}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=21, help="interpreters of each kind (default: 21)")
    args = parser.parse_args()
    process(INSIDE)  # compiles bytecode, and fills the page cache
    inside, differences, modules = [], [], []
    for _ in range(args.repeat):
        without, _ = process("import numpy")
        within, done = process(INSIDE)
        seconds, modules = json.loads(done.stdout)
        inside.append(seconds)
        differences.append(within - without)
    ours = [name for name in modules if name.partition(".")[0] == "allcores"]
    others = [name for name in modules if name not in ours]
    print("| import allcores, numpy being imported | ms |")
    print("|---|--:|")
    print(f"| inside one interpreter | {1e3 * median(inside):.1f} |")
    print(f"| difference between processes | {1e3 * median(differences):.1f} |")
    print(f"\n{len(ours)} modules of allcores, {len(others)} others: {', '.join(others)}\n")
    reports = [by_module() for _ in range(max(1, args.repeat // 4))]
    own = {name: median(report.get(name, 0) for report in reports) for name in modules}
    print("| by itself | ms |")
    print("|---|--:|")
    for name in sorted(own, key=own.__getitem__, reverse=True)[:10]:
        print(f"| {name} | {own[name] / 1e3:.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
