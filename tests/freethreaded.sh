#!/usr/bin/env bash
# Free-threaded CPython: kernels built for it, the whole suite, and then those suites in which threads can run each test
# side by side (pytest-run-parallel). The environment is in build/freethreaded.
#
#   PYTHON=python3.14t tests/freethreaded.sh                all of it
#   PYTHON=python3.14t tests/freethreaded.sh suite          the whole suite; more arguments go to pytest
#   PYTHON=python3.14t tests/freethreaded.sh side-by-side   four threads a test; more arguments go to pytest
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-all}
shift || true
home=$PWD/build/freethreaded
python=$home/venv/bin/python
export ALLCORES_REQUIRE_KERNELS=1 PIP_DISABLE_PIP_VERSION_CHECK=1
unset ALLCORES_BACKEND ALLCORES_WORKERS PYTHON_GIL
[ -x "$python" ] || "${PYTHON:-python3.14t}" -m venv "$home/venv"
# The last versions that have wheels for it: the newest of NumPy and Hypothesis have none for 3.13.
"$python" -m pip install -q --only-binary :all: numpy pytest pytest-xdist pytest-run-parallel hypothesis cloudpickle
# Those of the test extra that have wheels for it: tests of the others are skipped.
for package in pandas xarray pyarrow tqdm loky threadpoolctl; do
  "$python" -m pip install -q --only-binary :all: "$package" || echo "$package: not for this Python"
done
"$python" -m pip install -q --no-deps --force-reinstall .
# Not from here, where src/ is not what was built.
(cd "$home" && "$python" -W error -c "
import sys, allcores as ac
assert not sys._is_gil_enabled(), 'there is a GIL'
config = ac.show_config(mode='dicts')
assert config['backend']['name'] != 'fallback', config
ac.show_config()")
printf 'free-threaded: built in %d s\n' "$SECONDS"

suite() { "$python" -m pytest -q -p no:cacheprovider -n auto --dist worksteal -m "" "$@"; }

side_by_side() {
  "$python" -m pytest -q -p no:cacheprovider -m "" --parallel-threads=4 "${@:-${SIDE_BY_SIDE[@]}}"
}
SIDE_BY_SIDE=(oracle short_way out warnings windows windows_bits window_order scans quantiles selection sorting
  ranks settings threads)
SIDE_BY_SIDE=("${SIDE_BY_SIDE[@]/#/tests/test_}")
SIDE_BY_SIDE=("${SIDE_BY_SIDE[@]/%/.py}")

case $what in
  all)
    suite
    side_by_side
    ;;
  suite) suite "$@" ;;
  side-by-side) side_by_side "$@" ;;
  *) sed -n 2,8p "$0"; exit 2 ;;
esac
printf 'free-threaded: %s passed in %d s\n' "$what" "$SECONDS"
