"""What multiprocessing's fork server imports before it forks workers: NumPy and the worker, once for all."""

from __future__ import annotations

from . import signals, worker

signals.leave_to_the_parent()
signals.let_through()  # it was started with signals blocked
signals.have_children_wait(worker.NAME)
