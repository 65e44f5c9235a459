#!/usr/bin/env bash
# Memory, undefined behaviour, races. Each has a build and an environment of its own in build/sanitize.
#
#   tests/sanitize.sh quick        address and undefined behaviour, level v2, the sweeps of test_guard_pages.py: for the gate
#   tests/sanitize.sh asan         the same with all levels, and the oracle suites
#   tests/sanitize.sh tsan         races, level v2: teams of threads
#   tests/sanitize.sh valgrind     the release build, level v3, sweeps in brief; reads of what was never written, too
#   tests/sanitize.sh hypothesis   the release build, 2500 examples a function at random: some ten minutes
#
# More arguments are test files, run instead of those of the mode.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=${1:?quick, asan, tsan, valgrind or hypothesis}
root=$PWD/build/sanitize
home=$root/$mode
shift
levels=""
case $mode in
  quick) sanitizers=address,undefined levels=v2 ;;
  asan) sanitizers=address,undefined ;;
  tsan) sanitizers=thread levels=v2 ;;
  valgrind) sanitizers="" levels=v3 ;;
  hypothesis) sanitizers="" ;;
  *) sed -n 2,10p "$0"; exit 2 ;;
esac
export ALLCORES_REQUIRE_KERNELS=1 PIP_DISABLE_PIP_VERSION_CHECK=1
unset ALLCORES_BACKEND ALLCORES_WORKERS
mkdir -p "$home"
[ -x "$home/venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$home/venv"
python=$home/venv/bin/python
"$python" -m pip install -q numpy pytest pytest-xdist hypothesis
"$python" -m pip install -q --no-deps --force-reinstall "-Cbuild-dir=$home/build" \
  -Cinstall.strip=false "-Ccmake.define.ALLCORES_SANITIZE=$sanitizers" "-Ccmake.define.ALLCORES_LEVELS=$levels" .
rm -f "$home"/report*
printf '%s: built in %d s\n' "$mode" "$SECONDS"

# NumPy's own allocator, and Python's, would hide where an array ends.
export PYTHONMALLOC=malloc PYTHONFAULTHANDLER=1
library() { "${CC:-cc}" -print-file-name="$1"; }
# libstdc++ beside it: exceptions of NumPy's C++ code are looked up when the sanitizer starts.
with() { env LD_PRELOAD="$(library "lib$1.so"):$(library libstdc++.so.6)" "${@:2}"; }
export ASAN_OPTIONS="detect_leaks=0:handle_segv=0:log_path=$home/report"
# Where both are there, UBSAN writes to stderr whatever its `log_path`, and goes on: the process has to end.
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1"
export TSAN_OPTIONS="report_signal_unsafe=0:history_size=4:log_path=$home/report"

sweeps() {  # whole, brief or team; side by side
  local failed=0 family
  local -A running
  for family in reductions windows scans order sorting; do
    "${run[@]}" "$python" tests/test_guard_pages.py "$family" "$home/note.$family" "$@" &
    running[$family]=$!
  done
  for family in "${!running[@]}"; do
    wait "${running[$family]}" || {
      failed=1
      printf '%s: last call: %s\n' "$family" "$(tr -s ' ' < "$home/note.$family")"
    }
  done
  return $failed
}
suite() { "${run[@]}" "$python" -m pytest -q -m "" -p no:cacheprovider -p no:faulthandler --maxfail=5 "$@"; }

status=0
more=("$@")
sweep_or_suites() {  # how to sweep, and the suites that follow
  local how=$1
  shift
  if [ ${#more[@]} -gt 0 ]; then
    suite "${more[@]}" || status=1
    return
  fi
  sweeps "$how" || status=1
  [ $# = 0 ] || suite "$@" || status=1
}
case $mode in
  quick)
    run=(with asan)
    sweep_or_suites brief
    ;;
  asan)
    # In the fallback none of our compiled code runs, and it takes the most time; what is freed is kept for a while here.
    run=(with asan)
    sweep_or_suites whole -n auto -k "not fallback and not test_memory" tests/test_oracle.py tests/test_inputs.py \
      tests/test_short_way.py tests/test_same_bits.py tests/test_layouts.py tests/test_out.py tests/test_windows.py \
      tests/test_windows_bits.py tests/test_window_order.py tests/test_window_kernels.py tests/test_scans.py tests/test_quantiles.py \
      tests/test_weighted.py tests/test_selection.py tests/test_sorting.py tests/test_ranks.py
    ;;
  tsan)
    # Addresses at random, more of them than gcc's TSAN knows, end it before it begins. It knows no threads after a fork.
    run=(with tsan setarch -R)
    sweep_or_suites team tests/test_threads.py -k "not fork"
    ;;
  valgrind)
    # NumPy's AVX2 sort exhausts the translator of valgrind 3.19, which ends there.
    # Not every error is ours: Python's own are in its log, too.
    run=(env NPY_DISABLE_CPU_FEATURES=X86_V3 valgrind -q --log-file="$home/report.%p" --num-callers=8)
    sweep_or_suites brief
    for report in "$home"/report*; do
      awk -v RS='' "/_kernels\\// || /the .impossible' happened/" <(sed 's/^==[0-9]*== *$//' "$report") > "$report.ours"
      [ -s "$report.ours" ] || rm -f "$report.ours"
      rm -f "$report"
    done
    ;;
  hypothesis)
    run=()
    unset PYTHONMALLOC
    export ALLCORES_HYPOTHESIS=${ALLCORES_HYPOTHESIS:-2500}
    suite -n auto -k "numpy_is_the_oracle or test_same_bits or any_arguments" tests/test_hypothesis.py \
      tests/test_windows_bits.py || status=1
    ;;
esac
for report in "$home"/report*; do
  [ -s "$report" ] || continue
  head -n 60 "$report"
  status=1
done
printf '%s: %s in %d s\n' "$mode" "$([ $status = 0 ] && echo clean || echo FAILED)" "$SECONDS"
exit $status
