"""Small faults, put into the code one at a time, and the tests that must fail then.

    python tests/mutants.py                       all of them: half an hour on two cores
    python tests/mutants.py --python              those of Python code: nothing is compiled
    python tests/mutants.py --kernels             those of kernels: each is compiled for one level
    python tests/mutants.py --sample 8 --seed 3   some of them
    python tests/mutants.py -k manager            those whose place or sentence has the word

The package has to be installed as it is in this tree. Nothing of the tree or of the installed package is changed:

    copy of the installed package <-- one file patched, or one kernel built from a patched copy of ext/
        ^
        | first on PYTHONPATH
    pytest -x -q, of the tests that are named, those of every day

The exit code is 0 where at least 95% are caught. A fault whose text is not there exactly once is an error, as is a test
that fails without any fault, so that the list stays true. A test that does not end has caught nothing.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "src" / "allcores"
ENOUGH = 0.95
PATIENCE = 240.0  # seconds for the tests of one fault
TOO_MUCH = 3600.0  # seconds for compiling one kernel

# Where faults are put, by the name that the list has for it: a module that moves is changed here alone.
PLACES = {
    "grid": "_engine/grid.py",
    "team": "_engine/team.py",
    "execute": "_engine/execute.py",
    "turns": "_engine/turns.py",
    "reading": "_families/lazy_reductions.py",
    "working": "_engine/mapreduce.py",
    "reduction": "_families/reduction_passes.py",
    "statistics": "_families/reductions.py",
    "settings": "_engine/settings.py",
    "warnings": "_engine/fp_warnings.py",
    "jobs": "_engine/jobs.py",
    "inputs": "_engine/inputs.py",
    "arguments": "_engine/arguments.py",
    "sources": "_engine/sources.py",
    "quantiles": "_families/quantiles.py",
    "selecting": "_families/selection.py",
    "dividing": "_families/partitions.py",
    "sorting": "_families/sort_passes.py",
    "sorting's arguments": "_families/sorting.py",
    "windowing": "_families/windows.py",
    "gaps": "_families/scans.py",
    "zarr": "sources/zarrs.py",
    "background": "background.py",
    "manager": "futures/manager.py",
    "traffic": "futures/traffic.py",
    "worker": "futures/worker.py",
    "blocks on threads": "blocks/threads.py",
    "blocks on executors": "blocks/executors.py",
    "blocks' results": "blocks/results.py",
    "blocks' plan": "blocks/plan.py",
    "overlap": "blocks/overlap.py",
    "folds": "_kernels/folds.py",
    "common": "_kernels/common.py",
    "keys": "_kernels/keys.py",
    "fallback's loop": "_kernels/fallback/drive.py",
    "fallback's sums": "_kernels/fallback/reduce.py",
    "fallback's extrema": "_kernels/fallback/extrema.py",
    "fallback's windows": "_kernels/fallback/window.py",
    "fallback's selection": "_kernels/fallback/select.py",
}
# Of kernels, the file in ext/ and the family that is built with it.
KERNEL_PLACES = {
    "claims": ("cursor.pxd", "reduce"),
    "kernels' loop": ("drive.pxd", "reduce"),
    "sums": ("reduce.pyx", "reduce"),
    "extrema": ("extrema.pyx", "extrema"),
    "windows": ("window.pyx", "window"),
    "merges": ("merges.pxd", "window"),
    "scans": ("scan.pyx", "scan"),
    "selection": ("select.pyx", "select"),
    "sort": ("sort.pyx", "sort"),
}


class Fault(NamedTuple):
    place: str
    before: str
    after: str
    breaks: str  # what goes wrong then
    tests: str  # files in tests/, or tests in them, as pytest takes them


FAULTS = [
    # ---- grid: leaves, chunks, pieces
    Fault(
        "grid",
        "leaves = max(leaves, power_above(ceil_div(total, most)))",
        "leaves = max(leaves, ceil_div(total, most))",
        "chunks are no power of two of leaves where partial results would take too much",
        "test_same_bits.py::test_a_chunk_is_a_subtree",
    ),
    Fault(
        "grid",
        "max(1, 1 << (max(large // (leaf * tile), 1).bit_length() - 1))",
        "max(1, large // (leaf * tile))",
        "chunks are no power of two of leaves",
        "test_same_bits.py::test_a_chunk_is_a_subtree",
    ),
    Fault(
        "grid",
        "leaf << (max(1, elements // (leaf * tile)).bit_length() - 1)",
        "leaf * max(1, elements // (leaf * tile))",
        "pieces of files are no power of two of leaves",
        "test_sources.py::test_pieces_cover_everything_once",
    ),
    Fault(
        "grid",
        "while inner % tile == 1:",
        "while inner % tile == inner:",
        "a piece of a file may be one column alone, which is read as a line",
        "test_sources.py::test_pieces_cover_everything_once",
    ),
    Fault(
        "grid",
        "first, begin, left = number * self.lines, part * self.run, tile * self.tile",
        "first, begin, left = number, part * self.run, tile * self.tile",
        "chunks of several lines begin one line apart",
        "test_same_bits.py::test_a_chunk_is_a_subtree",
    ),
    Fault(
        "grid",
        "                result, at = divmod(result, count)",
        "                at, result = divmod(result, count)",
        "pieces of several kept axes are mixed up",
        "test_sources.py::test_pieces_cover_everything_once",
    ),
    Fault(
        "reduction",
        "count = max(1, min(-(-whole // PARTIALS), lengths[position] // 2))",
        "count = max(1, min(-(-whole // PARTIALS), lengths[position]))",
        "a slab may be one column alone, which is read as a line",
        "test_same_bits.py::test_ways -k 'nanvar or sum'",
    ),
    Fault(
        "reduction",
        "    return row.fold(a, b) if 0 <= int(a[1]) < int(b[1]) else row.fold(b, a)",
        "    return row.fold(b, a)",
        "of equal extrema of two parts the later one is found",
        "test_sources.py::test_positions_do_not_follow_chunks",
    ),
    # ---- team, threads
    Fault(
        "team",
        "    return 1 if here.worker else settings.within_limit(workers)",
        "    return settings.within_limit(workers)",
        "calls within a worker are teams again",
        "test_nesting.py::test_workers_are_alone_in_any_context",
    ),
    Fault(
        "team",
        "        self.before, here.worker = here.worker, True",
        "        self.before, here.worker = here.worker, here.worker",
        "the caller's own share of a call makes teams again",
        "test_nesting.py::test_workers_are_alone_in_any_context",
    ),
    Fault(
        "team",
        "def _become_worker() -> None:\n    here.worker = True",
        "def _become_worker() -> None:\n    here.worker = False",
        "helpers make teams again",
        "test_threads.py::test_calls_in_a_worker_run_inline",
    ),
    Fault(
        "team",
        "        except BaseException:\n            stop()\n            raise\n",
        "        except BaseException:\n            raise\n",
        "helpers go on to the end where the caller is interrupted",
        "test_threads.py::test_helpers_stop_where_the_caller_raises",
    ),
    Fault(
        "team",
        "                _wanted.remove(helper)\n",
        "                pass\n",
        "helpers whom nobody took stay on the list, with the arrays that they refer to",
        "test_nesting.py::test_a_busy_pool_is_not_waited_for -k 'sum or sort'",
    ),
    Fault(
        "execute",
        "        status |= flags\n    return status",
        "        status = flags\n    return status",
        "only one worker's floating-point flags count",
        "test_errstate.py::test_by_a_team",
    ),
    Fault(
        "team",
        "            results.extend(map(Helper.outcome, helpers))",
        "            results.extend(helper.result for helper in helpers if helper.error is None)",
        "an error in a helper is lost",
        "test_threads.py::test_an_error_in_a_helper_reaches_the_caller",
    ),
    Fault(
        "team",
        "seconds if _dispatch_latency is None else min(_dispatch_latency, seconds)",
        "seconds",
        "of several measurements the last counts, not the least",
        "test_nesting.py::test_a_bad_measurement_is_not_for_ever",
    ),
    Fault(
        "team",
        "    _wanted, _measuring = deque(), threading.Lock()\n    here.worker = False",
        "    _wanted, _measuring = deque(), threading.Lock()",
        "a child that a worker forks computes alone for ever",
        "test_fork.py::test_a_child_forked_in_a_block",
    ),
    Fault(
        "turns",
        "        self.within.stop()\n",
        "",
        "calls within a block go on where theirs is cancelled",
        "test_background.py::test_cancel_stops_calls_within_a_block",
    ),
    Fault(
        "turns",
        "            with settings.at_most(1):\n                share()",
        "            share()",
        "what runs beside other blocks thinks that it has all workers",
        "test_nesting.py::test_blocks_beside_others_have_one_worker",
    ),
    # ---- settings: workers, limits, memory
    Fault(
        "settings",
        "    return workers if limit is None or limit.over else min(workers, limit.workers)",
        "    return workers",
        "a call within a call may use more workers than that one",
        "test_nesting.py::test_workers_of_the_whole_call",
    ),
    Fault(
        "settings",
        "        limit.over = True",
        "        pass",
        "the limit of a call holds after it, for who has kept the context",
        "test_nesting.py::test_a_limit_ends_with_its_call",
    ),
    Fault(
        "settings",
        "    _arrays.set(False)\n    _limit.set(None)",
        "    _arrays.set(False)",
        "a child that is forked within a call keeps its limit",
        "test_fork.py::test_a_child_forked_in_a_block",
    ),
    Fault(
        "settings",
        "    return min(limits, default=None)",
        "    return max(limits, default=None)",
        "the widest quota of a group's parents counts",
        "test_settings.py -k quota",
    ),
    Fault(
        "settings",
        "    return min(limits)\n",
        "    return limits[-1]\n",
        "the memory of the innermost group counts, not the least",
        "test_sources.py::test_limits_of_control_groups",
    ),
    Fault(
        "settings",
        "max(1, min(affinity(), math.ceil(limit)))",
        "max(1, min(affinity(), math.floor(limit)))",
        "half a core of the quota is left out",
        "test_settings.py::test_cores",
    ),
    # ---- lazy sources: pieces, the tree of their partial results
    Fault(
        "turns",
        "                self.stop()\n                raise\n",
        "                raise\n",
        "the others read to the end where a helper has raised an error, and begin blocks after what ends a program",
        "test_sources.py::test_nobody_goes_on_after_an_error test_blocks.py::test_what_ends_a_program_ends_the_call",
    ),
    Fault(
        "working",
        "    if sender is None or team.here.worker:\n        with",
        "    if sender is None:\n        with",
        "calls within a worker are sent to an executor",
        "test_sources.py::test_calls_of_a_worker_are_not_sent",
    ),
    Fault(
        "working",
        "            if number ^ 1 < count:",
        "            if number | 1 < count - 1:",
        "where pieces are no power of two in number, the last pairs are not folded",
        "test_sources.py::test_pieces_change_no_bit",
    ),
    Fault(
        "working",
        "pair = (other, partials) if number & 1 else (partials, other)",
        "pair = (partials, other) if number & 1 else (other, partials)",
        "pieces are folded in the wrong order",
        "test_sources.py::test_npy_has_the_bits_of_memory -k 'argmax or nanvar'",
    ),
    Fault(
        "working",
        "                call.status |= mine.status",
        "                pass",
        "pieces of lazy sources raise no floating-point flags",
        "test_sources.py::test_flags_of_parts",
    ),
    Fault(
        "working",
        "                call.status |= flags.raised",
        "                pass",
        "folding pieces raises no floating-point flags",
        "test_sources.py::test_flags_of_parts",
    ),
    Fault(
        "working",
        "                call.status |= status",
        "                pass",
        "what runs on an executor raises no floating-point flags",
        "test_sources.py::test_flags_of_parts",
    ),
    Fault(
        "working",
        "workers = min(call.workers, most, turns.count)",
        "workers = min(call.workers, turns.count)",
        "more pieces are read at a time than the budget has room for",
        "test_sources.py::test_the_budget_bounds_what_is_read_at_a_time",
    ),
    Fault(
        "grid",
        "size[axis] = run(max(3 * (span - 1), least[axis]))",
        "size[axis] = max(3 * (span - 1), least[axis])",
        "pieces of a series are no multiple of the leaves of a scan",
        "test_mapreduce.py::test_sizes_of_pieces",
    ),
    Fault(
        "working",
        "begin = max(0, part.start - self.before) // self.unit * self.unit",
        "begin = max(0, part.start - self.before)",
        "what is read around a piece of moving windows begins anywhere: other bits",
        "test_sources_windows.py::test_memory_has_the_same_bits -k 'var or sum'",
    ),
    Fault(
        "working",
        "end = min(n, max(part.stop + self.after, begin + self.before + self.after + 1))",
        "end = min(n, part.stop)",
        "centered windows end with their piece",
        "test_sources_windows.py::test_memory_has_the_same_bits -k mean",
    ),
    Fault(
        "working",
        "self._states[result] = part + 1, state",
        "self._states[result] = part + 1, None",
        "every piece of a series begins anew",
        "test_mapreduce.py::test_toys",
    ),
    Fault(
        "working",
        "                        ready.append((following, state))",
        "                        ready.append((following, None))",
        "every task of a series begins anew",
        "test_mapreduce.py::test_toys",
    ),
    Fault(
        "working",
        "        count = max(1, min(count, settings.budget_of_piece(workers) // work.returned))",
        "        pass",
        "tasks give back more than there is memory for",
        "test_mapreduce.py::test_results_that_come_back_are_within_the_budget",
    ),
    Fault(
        "working",
        "parts = pieces.parts if count >= pieces.parts else 1 << (count.bit_length() - 1)",
        "parts = pieces.parts if count >= pieces.parts else count",
        "the pieces of a task are no power of two in number",
        "test_sources.py::test_executors_give_the_same_bits -k threads",
    ),
    Fault(
        "reading",
        "return value, np.where(index < 0, index, index + begin)",
        "return value, index + begin",
        "a piece of nothing but NaN has a position",
        "test_sources.py::test_parts_of_nan",
    ),
    Fault(
        "reading",
        "        if index >= 0:\n            place",
        "        if True:\n            place",
        "a stored chunk of nothing but NaN has a position",
        "test_sources.py::test_parts_of_nan",
    ),
    Fault(
        "reading",
        "values = finish(partials[:-1], partials[-1]) if masked else finish(partials, n)",
        "values = finish(partials[:-1], n) if masked else finish(partials, n)",
        "where= does not count in means of stored chunks",
        "test_sources.py::test_masks_and_outputs",
    ),
    Fault(
        "reading",
        "pieces = replace(stored(source, axes, stored_piece), reduced=(False,) * source.ndim)",
        "pieces = stored(source, axes, stored_piece)",
        "of equal extrema the first in the order of chunks is found",
        "test_sources.py::test_positions_do_not_follow_chunks",
    ),
    Fault(
        "folds",
        "return _with_index((b[1] >= 0) & ((a[1] < 0) | (b[0] < a[0])), a, b)",
        "return _with_index((a[1] < 0) | (b[0] < a[0]), a, b)",
        "a part of nothing but NaN comes after one of nothing but NaN, or instead of one",
        "test_sources.py::test_parts_of_nan",
    ),
    Fault(
        "folds",
        "return _with_index((b[1] >= 0) & ((a[1] < 0) | (b[0] > a[0])), a, b)",
        "return _with_index((b[1] >= 0) & (b[0] > a[0]), a, b)",
        "nanargmax of what begins with a part of nothing but NaN is missing",
        "test_sources.py::test_parts_of_nan",
    ),
    Fault(
        "folds",
        "np.where((y < x) | (x != x), y, x)",
        "np.where(y < x, y, x)",
        "nanmin of what begins with a part of nothing but NaN is NaN",
        "test_sources.py::test_parts_of_nan",
    ),
    Fault(
        "folds",
        "return _with_index((b[0] < a[0]) | (b[0] != b[0]) & (a[0] == a[0]), a, b)",
        "return _with_index((b[0] < a[0]) | (b[0] != b[0]), a, b)",
        "of several parts with NaN the last one's is found",
        "test_sources.py::test_npy_has_the_bits_of_memory -k argmin",
    ),
    Fault(
        "folds",
        "        np.where(first, pivot_b, pivot),",
        "        pivot,",
        "the mean of a part that follows nothing but NaN is taken for another one",
        "test_sources.py::test_parts_of_nan",
    ),
    Fault(
        "sources",
        "            if not size:\n                raise OSError",
        "            if not size:\n                return\n                raise OSError",
        "a file that has become shorter is read as if it were there",
        "test_sources.py::test_a_file_that_is_cut_off_while_it_is_read",
    ),
    Fault(
        "sources",
        "                self.file.fill(memory[: (len(part) - 1) * stride + run].data, at + first * stride)",
        "                self.file.fill(memory[: (len(part) - 1) * stride + run].data, at)",
        "runs of a file with gaps are read from its beginning",
        "test_sources.py::test_long_parts_with_gaps",
    ),
    Fault(
        "zarr",
        "np.empty(size, np.uint8) if content_size(data) == size else None)",
        "np.zeros(size, np.uint8))",
        "a stored chunk that is too short is filled up with zeros",
        "test_sources_stores.py",
    ),
    # ---- process pool: manager, traffic, worker
    Fault(
        "manager",
        "            self.terminate_broken(traceback.format_exception(error))",
        "            pass",
        "a failure of the manager reaches no future",
        "test_pool_faults.py::test_the_manager_fails",
    ),
    Fault(
        "manager",
        "            _finish(item.future, error, True)\n        items.clear()",
        "        items.clear()",
        "futures of a broken pool are never done",
        "test_pool_faults.py::test_the_manager_fails",
    ),
    Fault(
        "manager",
        "            item.fn, item.args, item.kwargs = None, (), {}\n",
        "",
        "a future that is kept keeps its arguments",
        "test_pool_faults.py::test_arguments_are_let_go_of_once_they_are_sent",
    ),
    Fault(
        "manager",
        "            if not item.future.set_running_or_notify_cancel():\n",
        "            item.future.set_running_or_notify_cancel()\n            if False:\n",
        "a cancelled task is sent all the same",
        "test_pool_faults.py::test_a_cancelled_task_is_not_run",
    ),
    Fault(
        "manager",
        "            if future._state in (_base.PENDING, _base.RUNNING):",
        "            if False:",
        "in a forked child futures of the pool wait for ever",
        "test_pool_faults.py::test_futures_of_the_parent_in_a_child",
    ),
    Fault(
        "manager",
        "            pending.clear()\n            pending.update(left)",
        "            pending.update(left)",
        "cancelled tasks are still waited for at shutdown",
        "test_pool_faults.py::test_shutdown_that_cancels",
    ),
    Fault(
        "traffic",
        '        self.counts["bytes_shared"] -= size\n',
        "",
        "bytes of a refused call are counted as shared, too",
        "test_pool_faults.py::test_a_refused_segment_is_pickled",
    ),
    Fault(
        "traffic",
        "        assert segment is not None\n        self._live -= 1\n",
        "        assert segment is not None\n",
        "refused calls take the places of others for ever",
        "test_pool_faults.py::test_a_refused_segment_is_pickled",
    ),
    Fault(
        "traffic",
        '            segment.close()\n            self.counts["segments_abandoned"] += 1',
        '            self.store.give_back(segment)\n            self.counts["segments_abandoned"] += 1',
        "memory that a worker still looks at is written to",
        "test_pool_transfers.py::test_a_worker_that_keeps_its_argument",
    ),
    Fault(
        "traffic",
        "            segment, flight.room = flight.room, None\n",
        "            segment = flight.room\n",
        "the memory of a result is given to another one",
        "test_pool_transfers.py -k 'results_outlive or used_again or worker_may_write'",
    ),
    Fault(
        "traffic",
        "            self.store.give_back(flight.room)\n        self._without_buffers += 1",
        "            pass\n        self._without_buffers += 1",
        "memory that was there for a result is lost where none came",
        "test_pool_transfers.py::test_room_that_no_result_needs_is_used_again",
    ),
    Fault(
        "worker",
        "released=views is None or (views() is None and forks == store.forks()),",
        "released=views is None or views() is None,",
        "memory that a child of a worker looks at is written to",
        "test_pool_faults.py::test_a_task_that_forks",
    ),
    Fault(
        "worker",
        "        settings.limit_workers(threads)\n",
        "",
        "each worker process computes on all cores",
        "test_pool_transfers.py::test_threads_in_workers",
    ),
    Fault(
        "worker",
        "    exceptions.forget_frames(error)  # they hold the arguments\n",
        "",
        "arguments of a task that raises an error are kept",
        "test_pool_transfers.py::test_an_error_keeps_no_argument",
    ),
    Fault(
        "worker",
        "last = done == setup.max_tasks",
        "last = False",
        "workers never end after their number of tasks",
        "test_pool_faults.py::test_max_tasks_per_child",
    ),
    # ---- background
    Fault(
        "background",
        "        if stopped:\n            self._end_cancelled()",
        "        if stopped and error is not None:\n            self._end_cancelled()",
        "a cancelled call that returns has a result all the same",
        "test_background.py::test_cancelled_even_if_it_would_have_been_finished",
    ),
    Fault(
        "background",
        "    if _here.coordinator or team.here.worker:",
        "    if _here.coordinator:",
        "a call that a block submits waits for a coordinator, which may wait for it",
        "test_nesting.py::test_blocks_beside_others_have_one_worker",
    ),
    Fault(
        "background",
        "            self._stage, self._work, self._context = ENDED, None, None\n        self._end_cancelled()",
        "            self._stage = ENDED\n        self._end_cancelled()",
        "a cancelled call keeps its arguments",
        "test_background.py::test_a_cancelled_call_lets_go_of_its_arguments",
    ),
    Fault(
        "background",
        "        if context is not None:\n            box",
        "        if False:\n            box",
        "a call for which a coordinator's call waits never begins",
        "test_nesting.py::test_waiting_from_threads_of_others",
    ),
    Fault(
        "jobs",
        "            if self.stopped:\n                raise Stopped\n            self._parts.append(part)",
        "            self._parts.append(part)",
        "the next pass of a cancelled call begins",
        "test_background.py::test_cancel_between_passes",
    ),
    Fault(
        "jobs",
        "                self._done, self._total = self._done + done, self._total + total",
        "                self._done, self._total = done, total",
        "of several passes only the last one counts as progress",
        "test_background.py::test_several_calls_in_one",
    ),
    # ---- blocks
    Fault(
        "blocks on threads",
        "            if failures.fatal:\n                turns.stop()\n            elif here:",
        "            if here:",
        "blocks begin after one has failed",
        "test_blocks.py::test_an_error_cancels_the_rest",
    ),
    Fault(
        "blocks on executors",
        "            self.flight.cancel(lambda number: number > first)",
        "            self.flight.cancel()",
        "which of several failing blocks is named depends on luck",
        "test_blocks_executors.py::test_blocks_before_one_that_fails_are_done",
    ),
    Fault(
        "blocks on executors",
        "                wait(begun)",
        "                pass",
        "blocks write to out after the call has ended",
        "test_blocks_executors.py::test_an_error_in_progress_waits_for_those_who_write",
    ),
    Fault(
        "blocks' results",
        'self.array = out.copy(order="K") if self._overlaps() else out',
        "self.array = out",
        "blocks read what others have written to out",
        "test_blocks.py::test_out",
    ),
    Fault(
        "blocks' results",
        "        if result.shape != to.shape:\n            raise ValueError(",
        "        if result.ndim != to.ndim:\n            raise ValueError(",
        "a result of the wrong shape is broadcast",
        "test_blocks.py::test_disagreeing_shapes",
    ),
    Fault(
        "sources",
        "return threading.Lock() if any(",
        "return nullcontext() if any(",
        "blocks that share a stored chunk overwrite each other",
        "test_sources.py test_sources_stores.py -k 'blocks_into or one_stored_chunk'",
    ),
    Fault(
        "blocks' plan",
        "            self.blocks = Blocks(self.blocks.n, -(-size // chunk) * chunk)",
        "            self.blocks = Blocks(self.blocks.n, size)",
        "stored chunks are read twice, by two blocks",
        "test_sources.py::test_blocks_are_of_whole_stored_chunks",
    ),
    Fault(
        "overlap",
        "            return np.flip(self.part(0, before), self.axis), block,",
        "            return self.part(0, before), block,",
        "a reflecting boundary does not reflect",
        "test_blocks.py -k overlap",
    ),
    # ---- subclasses, inputs
    Fault(
        "inputs",
        "            a = np.ma.filled(a, missing)",
        "            a = a.data",
        "masked elements are computed with",
        "test_subclasses.py -k 'masks or masked'",
    ),
    Fault(
        "inputs",
        "and not isinstance(a, np.memmap)",
        "",
        "mapped files are left to NumPy",
        "test_inputs.py test_no_delegation.py -k 'memmap'",
    ),
    Fault(
        "inputs",
        ' or {kind.__name__ for kind in kinds} == {"NaTType"}',
        "",
        "times that are all missing become numbers",
        "test_subclasses.py::test_times_that_are_all_missing",
    ),
    Fault(
        "inputs",
        "        if bounds.min <= least and most <= bounds.max:\n            return np.array(values, dtype)",
        "        if bounds.min <= least and most <= bounds.max + 1:\n            return np.array(values, dtype)",
        "an integer of 2 ** 63 is taken for an int64",
        "test_subclasses.py::test_objects_at_the_ends_of_integers",
    ),
    # ---- floating-point flags
    Fault(
        "statistics",
        "    request.call.status |= flags.raised & (OVER | UNDER)\n",
        "",
        "rounding to float32 neither overflows nor underflows",
        "test_errstate.py::test_as_numpy",
    ),
    Fault(
        "statistics",
        "flags.raised & (OVER | UNDER if quiet else ~0)",
        "flags.raised",
        "nanmean of nothing warns of an invalid value",
        "test_errstate.py::test_as_numpy -k nanmean",
    ),
    Fault(
        "warnings",
        '    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("allcores"):',
        "    while False:",
        "warnings point at this package",
        "test_warnings.py::test_warnings_point_at_the_caller",
    ),
    # ---- selection, quantiles, sorting: the engine
    Fault(
        "quantiles",
        "at = at & (below % 2 == 1)",
        "at = at & (below % 2 == 0)",
        "closest_observation takes the other one of two as close",
        "test_quantiles.py::test_methods",
    ),
    Fault(
        "quantiles",
        "weight = np.where(index % 1 == 0, 0.0, 0.5)",
        "weight = np.full_like(index, 0.5)",
        "a midpoint that is an element is taken between that and the next one",
        "test_quantiles.py::test_methods",
    ),
    Fault(
        "quantiles",
        "        span = b.view(unsigned) - a.view(unsigned)",
        "        span = b - a",
        "differences of integers wrap around",
        "test_quantiles.py::test_differences_of_integers_do_not_wrap_around",
    ),
    Fault(
        "quantiles",
        "        mean /= 2\n        mean += 0",
        "        mean /= 2\n        mean += -0.0",
        "the median of two elements that underflows is a negative zero",
        "test_quantiles.py::test_what_underflows_is_a_positive_zero",
    ),
    Fault(
        "selecting",
        "            if count == 0 or (not skip and count < n):",
        "            if count == 0:",
        "the median of a long lane with NaN is that of the numbers",
        "test_quantiles.py::test_long_lanes",
    ),
    Fault(
        "dividing",
        '    if backwards and not (pivots[0] == top and x.dtype.kind == "f"):',
        "    if backwards:",
        "of a long lane with more NaN than wanted, NaN comes first in descending order",
        "test_selection.py -k 'long_lane'",
    ),
    Fault(
        "dividing",
        "np.unique(np.where(ranks < 0, ranks + n, ranks))",
        "np.unique(np.where(ranks < 0, ranks + n - 1, ranks))",
        "ranks from the end are one off",
        "test_selection.py::test_partitions",
    ),
    Fault(
        "sorting",
        "    if down and not apart:\n        return False\n",
        "",
        "a descending line that is sorted in place is overwritten while it is read",
        "test_out.py -k sort",
    ),
    Fault(
        "sorting",
        "        distinct = np.cumsum(number) - number",
        "        distinct = np.cumsum(number)",
        "dense ranks begin after their own bucket",
        "test_sorting.py::test_ranks -k dense",
    ),
    Fault(
        "sorting",
        "np.flatnonzero(np.bitwise_or.reduce(marks))",
        "np.flatnonzero(np.bitwise_and.reduce(marks))",
        "distinct integers that not every run of a line has are lost",
        "test_sorting.py::test_unique_integers_from_a_range",
    ),
    # ---- layouts, byte orders, and where results go: what the suites over all functions are for
    Fault(
        "arguments",
        "is_plain(out) and not any(np.may_share_memory(out, a) for a in operands):",
        "is_plain(out):",
        "an `out` across an operand is written while that is read",
        "test_out.py::test_out_overlaps_an_operand -k 'move_mean or move_exp_nancov'",
    ),
    Fault(
        "arguments",
        "not (is_plain(out) and np.may_share_memory(result, out)):",
        "not is_plain(out):",
        "what was computed beside an `out` does not come to it",
        "test_out.py -k 'move_max or move_exp_nansum'",
    ),
    Fault(
        "sorting's arguments",
        "(same_memory(out, values) or not np.may_share_memory(out, values)):",
        "True:",
        "lines are sorted into an `out` that lies across them",
        "test_out.py::test_out_overlaps_an_operand -k sort",
    ),
    Fault(
        "gaps",
        "apart = is_plain(out) and not np.may_share_memory(out, values)",
        "apart = is_plain(out)",
        "gaps are filled into an `out` that lies across them",
        "test_out.py::test_out_overlaps_an_operand -k 'push or bfill'",
    ),
    Fault(
        "gaps",
        "        values.byteswap(inplace=True)\n",
        "        pass\n",
        "filled gaps of the other byte order keep the machine's",
        "test_layouts.py -k ffill",
    ),
    Fault(
        "reduction",
        "slice(None, None, -1) if axis in view.flipped else slice(None)",
        "slice(None)",
        "results of arrays that run backwards do, too",
        "test_layouts.py -k 'sum or argmax'",
    ),
    # ---- the fallback's kernels
    Fault(
        "fallback's sums",
        "blocks[:, -1:, : -(-n // BLOCK)]",
        "blocks[:, -1:, : n // BLOCK + 1]",
        "the last leaf has a block too many where n is 4096 k + 256 m",
        "test_same_bits.py::test_whole_blocks_of_the_last_leaf",
    ),
    Fault(
        "fallback's sums",
        "            pairs[..., -1] += blocks[..., -1]\n",
        "            pass\n",
        "the last block of an odd number of blocks is left out",
        "test_oracle.py::test_lengths_of_lines -k 'fallback and sum and d'",
    ),
    Fault(
        "common",
        "        self.raised |= self.bits[kind]",
        "        self.raised = self.bits[kind]",
        "of several kinds of floating-point flags the last counts",
        "test_errstate.py::test_several_kinds_in_one_call",
    ),
    Fault(
        "common",
        '    return np.not_equal(a.view(np.uint8), 0) if a.dtype.kind == "b" else a',
        "    return a",
        "bytes of bools other than 0 and 1 are not true",
        "test_bools.py",
    ),
    Fault(
        "fallback's loop",
        "        if cursor[STOP] or chunk >= cursor[END]:",
        "        if chunk >= cursor[END]:",
        "the fallback does not stop",
        "test_threads.py::test_the_fallback_stops",
    ),
    Fault(
        "fallback's extrema",
        "    index = ((filled == chosen) & number).argmax(axis=1)",
        "    index = (filled == chosen).argmax(axis=1)",
        "a NaN before the only infinity is taken for it",
        "test_oracle.py::test_one_number_among_nan -k fallback",
    ),
    Fault(
        "fallback's windows",
        "    present = np.logical_and.reduce([values == values for values in given])",
        "    present = given[0] == given[0]",
        "pairs of which only the second is missing are taken",
        "test_windows.py::test_one_of_a_pair_is_missing -k fallback",
    ),
    Fault(
        "fallback's windows",
        "        if (q - 1) & power:",
        "        if q & power:",
        "long windows have other groups between their ends",
        "test_same_bits.py::test_ways -k 'fallback and (move_sum or move_var)'",
    ),
    Fault(
        "keys",
        "        bits = (v + v.dtype.type(0)).view(keys)",
        "        bits = v.view(keys)",
        "-0.0 is less than 0.0",
        "test_selection.py -k 'fallback'",
    ),
    # ---- compiled kernels
    Fault(
        "claims",
        "    if allcores_load(&cursor.stop) or allcores_clock() > deadline:",
        "    if allcores_clock() > deadline:",
        "a kernel does not stop",
        "test_threads.py::test_a_kernel_stops",
    ),
    Fault(
        "kernels' loop",
        "        first = chunk // tiles // parts * cursor.lines",
        "        first = chunk // tiles // parts",
        "chunks of several lines begin one line apart",
        "test_same_bits.py::test_ways -k 'sum'",
    ),
    Fault(
        "kernels' loop",
        "                    if <const char *> tail + LANES * job.itemsize > job.limit:",
        "                    if False:",
        "what follows the array is read",
        "test_guard_pages.py",
    ),
    Fault(
        "kernels' loop",
        "    if job.swapped and stride != size:\n",
        "    if False:\n",
        "strided elements of the other byte order are not turned round",
        "test_layouts.py -k 'sum or prod'",
    ),
    Fault(
        "sums",
        "            block[blocks // 2 - 1] += block[blocks - 1]\n",
        "            pass\n",
        "the last block of an odd number of blocks is left out",
        "test_oracle.py::test_lengths_of_lines -k 'sum and d and v3'",
    ),
    Fault(
        "sums",
        "            c = among(tail, l, n - i, nan)",
        "            c = among(tail, l, n - i, 0)",
        "lanes beyond the end of a line are counted",
        "test_oracle.py::test_lengths_of_lines -k 'nanmean'",
    ),
    Fault(
        "sums",
        "        rest[j] = (rest[j] + more_rest[j]) + lost(total[j], more[j], s)",
        "        rest[j] = rest[j] + lost(total[j], more[j], s)",
        "what rounding has lost in the second of two runs is forgotten",
        "test_same_bits.py::test_whole_blocks_of_the_last_leaf",
    ),
    Fault(
        "extrema",
        "        i += 1\n    return i < n\n",
        "        i += 1\n    return i < n - 1\n",
        "nanmin of a line whose only number is infinite and comes last is NaN",
        "test_oracle.py::test_one_number_among_nan",
    ),
    Fault(
        "extrema",
        "    while i < n and v[i] != v[i]:\n        i += 1\n    return i < n",
        "    while i < n and v[i] != v[i]:\n        i += 2\n    return i < n",
        "every second element of a line is looked at for a number",
        "test_oracle.py::test_one_number_among_nan",
    ),
    Fault(
        "extrema",
        "        if low[j] != highest(v[0]) or find_row(v + j, s, n, low[j]) >= 0:",
        "        if low[j] != highest(v[0]) or find_row(v + j, s, n, low[j]) > 0:",
        "nanmin of a column whose only number is infinite and comes first is NaN",
        "test_oracle.py::test_one_number_among_nan",
    ),
    Fault(
        "extrema",
        "            return i + (a if a < 32 else b)",
        "            return i + b",
        "positions in the first half of 64 elements are lost",
        "test_oracle.py::test_lengths_of_lines -k 'argmax'",
    ),
    Fault(
        "windows",
        "        both = (v == v) & (w == w)",
        "        both = v == v",
        "pairs of which only the second is missing are taken",
        "test_windows.py::test_one_of_a_pair_is_missing",
    ),
    Fault(
        "windows",
        "    if not counted and not look:\n        for f in range(it.inputs):",
        "    if not counted and not look:\n        for f in range(1):",
        "only the first input is looked at for missing elements",
        "test_windows.py::test_one_of_a_pair_is_missing",
    ),
    Fault(
        "windows",
        "        to[j] = v if count[j] > 0 else w",
        "        to[j] = v",
        "the pivot of a run without elements is taken",
        "test_windows.py test_windows_moments.py -k 'patterns or exact'",
    ),
    Fault(
        "merges",
        "        take = (b[j] < a[j]) | ((b[j] == a[j]) & (bt[j] > at[j]))",
        "        take = (b[j] < a[j]) | ((b[j] == a[j]) & (bt[j] < at[j]))",
        "of the least elements of a window the first is found",
        "test_windows.py::test_patterns -k argmin",
    ),
    Fault(
        "merges",
        "        to[j] = b[j] if b[j] > a[j] else a[j]",
        "        to[j] = b[j] if b[j] >= a[j] else a[j]",
        "of equal zeros of a window the last is its maximum",
        "test_windows_bits.py::test_zeros_of_both_signs",
    ),
    Fault(
        "merges",
        "    return (ta + tb) + d * ((d * d) * (na * u * (v - u)) + 3 * (v * sb - u * sa))",
        "    return (ta + tb) + d * ((d * d) * (na * u * (v - u)) + 3 * (v * sa - u * sb))",
        "third moments are merged crosswise",
        "test_windows.py::test_lengths -k skew",
    ),
    Fault(
        "scans",
        "    cdef double w, u, k, dx, dy, joined\n    cdef bint here\n    for j in range(n):\n"
        "        here = (x[j] == x[j]) & (y[j] == y[j])\n        w = decay[j] * count[j]\n        u = 1 / (w + 1)\n"
        "        k = w * u\n        dx = x[j] - xm[j]\n        dy = y[j] - ym[j]\n"
        "        count[j] = w + (1.0 if here else 0.0)\n        joined = moved(xm[j], x[j], u)\n"
        "        xm[j] = joined if here else xm[j]\n        joined = moved(ym[j], y[j], u)\n"
        "        ym[j] = joined if here else ym[j]\n        joined = k * (c[j] + dx * dy * u)\n"
        "        c[j] = joined if here else c[j]\n        joined = k * (k * r[j] + 2 * u)",
        "    cdef double w, u, k, dx, dy, joined\n    cdef bint here\n    for j in range(n):\n"
        "        here = x[j] == x[j]\n        w = decay[j] * count[j]\n        u = 1 / (w + 1)\n"
        "        k = w * u\n        dx = x[j] - xm[j]\n        dy = y[j] - ym[j]\n"
        "        count[j] = w + (1.0 if here else 0.0)\n        joined = moved(xm[j], x[j], u)\n"
        "        xm[j] = joined if here else xm[j]\n        joined = moved(ym[j], y[j], u)\n"
        "        ym[j] = joined if here else ym[j]\n        joined = k * (c[j] + dx * dy * u)\n"
        "        c[j] = joined if here else c[j]\n        joined = k * (k * r[j] + 2 * u)",
        "pairs of which only the second is missing are taken",
        "test_scans.py::test_one_of_a_pair_is_missing",
    ),
    Fault(
        "scans",
        "(alpha[j] if (x[j] == x[j]) & (y[j] == y[j]) else 0.0)",
        "(alpha[j] if x[j] == x[j] else 0.0)",
        "pairs of which only the second is missing have weight",
        "test_scans.py::test_one_of_a_pair_is_missing",
    ),
    Fault(
        "scans",
        "    return x + (d - d) if u == 1 else to",
        "    return to",
        "means that begin anew leave rounding errors",
        "test_scans.py::test_what_is_nearly_forgotten",
    ),
    Fault(
        "selection",
        "    if count == 0 or (count < n and not skip):\n        return NAN\n    want",
        "    if count == 0:\n        return NAN\n    pick",
        "the median of a small array with NaN is that of the numbers",
        "test_quantiles.py::test_small_arrays_with_nan",
    ),
    Fault(
        "selection",
        "            most = s.inside if s.inside < room else room",
        "            most = s.inside",
        "more keys are kept than there is room for",
        "test_quantiles.py::test_no_more_keys_are_kept_than_there_is_room_for",
    ),
    Fault(
        "selection",
        "        counts[3 + 4 * g] = tally[4 * g + 2]",
        "        counts[3 + 4 * g] = tally[4 * g + 1]",
        "of many brackets it is not known how much is inside",
        "test_quantiles.py test_selection.py -k 'many or few_passes'",
    ),
    Fault(
        "sort",
        "    if is_floating(code):\n        even(key, n)",
        "    if False:\n        even(key, n)",
        "-0.0 comes before 0.0 in the order of elements",
        "test_sorting.py::test_zeros_and_nan",
    ),
    Fault(
        "sort",
        "    cdef bint apart = is_floating(code) and how.missing == DIFFERENT",
        "    cdef bint apart = False",
        "NaN are equal where ranks are to tell them apart",
        "test_sorting.py -k 'ranks'",
    ),
    Fault(
        "sort",
        "            rank = how.before + 0.5 * <double> (i + j + 1)",
        "            rank = how.before + 0.5 * <double> (i + j)",
        "average ranks are half a rank too low",
        "test_sorting.py::test_ranks -k average",
    ),
]


# ---- putting them in


class Untrue(Exception):
    """The list says what is not so."""


def source_of(fault: Fault) -> Path:
    if fault.place in PLACES:
        return SOURCES / PLACES[fault.place]
    return ROOT / "ext" / KERNEL_PLACES[fault.place][0]


def patched(fault: Fault) -> str:
    path = source_of(fault)
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise Untrue(f"{path.relative_to(ROOT)} is not there") from None
    if text.count(fault.before) != 1:
        raise Untrue(f"{path.relative_to(ROOT)} has {text.count(fault.before)} times {fault.before!r}")
    return text.replace(fault.before, fault.after)


class Bench:
    """A copy of the installed package, in which one fault is at a time, and what compiles kernels for it."""

    def __init__(self, directory: Path) -> None:
        spec = importlib.util.find_spec("allcores")
        if spec is None or not spec.submodule_search_locations:
            raise Untrue("allcores is not installed")
        self.installed = Path(next(iter(spec.submodule_search_locations)))
        if self.installed == SOURCES:
            raise Untrue("allcores is installed as editable")
        self.directory, self.number = directory, 0
        self.sound: dict[str, int] = {}
        levels = [path.name for path in (self.installed / "_kernels").iterdir() if list(path.glob("reduce.*"))]
        levels = sorted(set(levels) - {"fallback", "v4"})  # which takes most families from the level below
        self.level = levels[-1] if levels else ""

    def copy(self) -> Path:
        """The package with kernels of one level: what tests do at each of them takes its time."""
        self.number += 1
        path = self.directory / f"copy {self.number}" / "allcores"
        shutil.copytree(self.installed, path)
        for level in (path / "_kernels").iterdir():
            if level.is_dir() and level.name not in ("fallback", self.level) and list(level.glob("reduce.*")):
                shutil.rmtree(level)
        return path

    def check_installed(self, fault: Fault) -> None:
        path = source_of(fault)
        if fault.place in PLACES and path.read_text() != (self.installed / PLACES[fault.place]).read_text():
            raise Untrue(f"the installed {PLACES[fault.place]} is another one than that of this tree")

    def put(self, fault: Fault) -> Path:
        text, package = patched(fault), self.copy()
        if fault.place in PLACES:
            (package / PLACES[fault.place]).write_text(text)
        else:
            file, family = KERNEL_PLACES[fault.place]
            for made in (package / "_kernels" / self.level).glob(f"{family}.*"):
                made.unlink()
            shutil.copy2(self.build(file, text, family), package / "_kernels" / self.level)
        return package

    def build(self, file: str, text: str, family: str) -> Path:
        """A kernel of a copy of ext/, in which one file is changed for a while. A compiler cache is used as always."""
        tree, made = self.directory / "tree", self.directory / "build"
        if not tree.exists():
            tree.mkdir()
            shutil.copytree(ROOT / "ext", tree / "ext")
            shutil.copy2(ROOT / "CMakeLists.txt", tree)
            how = [f"-DALLCORES_LEVELS={self.level}", "-DCMAKE_BUILD_TYPE=Release", "-DSKBUILD_PROJECT_NAME=allcores"]
            how += ["-DSKBUILD_SABI_VERSION=3.11", "-DSKBUILD_SABI_COMPONENT=Development.SABIModule"]
            if shutil.which("ninja"):
                how += ["-G", "Ninja"]
            self.compile("-S", tree, "-B", made, f"-DPython_EXECUTABLE={sys.executable}", *how)
        path = tree / "ext" / file
        sound = path.read_text()
        path.write_text(text)
        try:
            self.compile("--build", made, "--target", family if self.level == "" else f"{self.level}_{family}")
        finally:
            path.write_text(sound)
        return next((made / "ext" / "allcores" / "_kernels" / self.level).glob(f"{family}.*"))

    def compile(self, *arguments: str | Path) -> None:
        done = subprocess.run(
            ["cmake", *map(str, arguments)], capture_output=True, text=True, timeout=TOO_MUCH, check=False
        )
        if done.returncode:
            raise Untrue(f"cmake: {(done.stdout + done.stderr)[-2000:]}")

    def run(self, tests: str, package: Path) -> int | None:
        """The exit code of pytest; None where it does not end."""
        first, *others = shlex.split(tests)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ALLCORES_")}
        paths = [str(package.parent), *filter(None, [environment.get("PYTHONPATH")])]
        environment |= {"PYTHONPATH": os.pathsep.join(paths)}
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"tests/{first}"]
        command += [f"tests/{each}" if each.startswith("test_") else each for each in others]
        command += ["-m", ""]  # the extended ones, too
        with (self.directory / "output").open("w") as output:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
            )
            try:
                return process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                return None
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def output(self) -> str:
        return (self.directory / "output").read_text()

    def check_sound(self, tests: str) -> None:
        """Whether tests pass as long as there is no fault."""
        if tests in self.sound:
            return
        package = self.copy()
        self.sound[tests] = 0
        if self.run(tests, package) != 0:
            raise Untrue(f"{tests}: does not pass without a fault\n{self.output()[-3000:]}")
        shutil.rmtree(package.parent)

    def catches(self, fault: Fault) -> str:
        """Empty where the tests fail; else what they do."""
        package = self.put(fault)
        code = self.run(fault.tests, package)
        shutil.rmtree(package.parent)
        if code is not None and code > 1:
            raise Untrue(f"{fault.tests}: pytest ended with {code}\n{self.output()[-3000:]}")
        return "no end" if code is None else "missed" if code == 0 else ""


def chosen(arguments: argparse.Namespace) -> list[Fault]:
    either = arguments.python or arguments.kernels
    faults = [
        fault
        for fault in FAULTS
        if (not either or (arguments.python if fault.place in PLACES else arguments.kernels))
        and arguments.k.lower() in f"{fault.place}: {fault.breaks}".lower()
    ]
    if arguments.sample is not None:
        faults = random.Random(arguments.seed).sample(faults, min(arguments.sample, len(faults)))
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description="Put small faults into the code, and see which ones the tests catch.")
    parser.add_argument("--python", action="store_true", help="faults of Python code")
    parser.add_argument("--kernels", action="store_true", help="faults of kernels")
    parser.add_argument("--sample", type=int, metavar="N", help="so many of them, at random")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="which ones these are")
    parser.add_argument("-k", default="", metavar="WORD", help="those whose place or sentence has the word")
    parser.add_argument("--quick", action="store_true", help="don't see first whether tests pass without a fault")
    arguments = parser.parse_args()
    faults = chosen(arguments)
    missed, untrue = [], []
    with tempfile.TemporaryDirectory(prefix="allcores-mutants-") as directory:
        bench = Bench(Path(directory))
        for fault in FAULTS:  # all of them, also where a sample runs
            try:
                patched(fault)
                bench.check_installed(fault)
            except Untrue as error:
                untrue.append(f"{fault.place}: {error}")
        faults = [] if untrue else faults
        for fault in faults:
            sound = time.monotonic()
            try:
                if not arguments.quick:
                    bench.check_sound(fault.tests)
                sound = time.monotonic()
                how = bench.catches(fault)
            except Untrue as error:
                untrue.append(f"{fault.place}: {error}")
                how = "untrue"
            if how:
                missed.append(fault)
            end = time.monotonic()
            words = f"{how or 'caught':7} {end - sound:4.0f} s  {fault.place}: {fault.breaks}"
            print(words if how == "" else f"{words}  [{fault.tests}]", flush=True)
    for text in untrue:
        print(text, file=sys.stderr)
    caught = len(faults) - len(missed)
    print(f"{caught} of {len(faults)} caught")
    return 1 if untrue or caught < int(ENOUGH * len(faults)) else 0  # of a sample, one may be missed


if __name__ == "__main__":
    sys.exit(main())
