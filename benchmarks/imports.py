"""How long `import allcores` takes beyond `import numpy`: the median over fresh interpreters.

    python benchmarks/imports.py --repeat 21

Two measures, interleaved: the clock around the second import inside one interpreter, and the difference between whole
processes that do and don't import allcores.
"""

from __future__ import annotations

import argparse
import json
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


def process(code: str) -> tuple[float, str]:
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return time.perf_counter() - begin, done.stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=21, help="interpreters of each kind (default: 21)")
    args = parser.parse_args()
    process(INSIDE)  # compiles bytecode, and fills the page cache
    inside, differences, modules = [], [], []
    for _ in range(args.repeat):
        without, _ = process("import numpy")
        within, output = process(INSIDE)
        seconds, modules = json.loads(output)
        inside.append(seconds)
        differences.append(within - without)
    ours = [name for name in modules if name.partition(".")[0] == "allcores"]
    others = [name for name in modules if name not in ours]
    print("| import allcores, numpy being imported | ms |")
    print("|---|--:|")
    print(f"| inside one interpreter | {1e3 * median(inside):.1f} |")
    print(f"| difference between processes | {1e3 * median(differences):.1f} |")
    print(f"\n{len(ours)} modules of allcores, {len(others)} others: {', '.join(others)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
