"""What multiprocessing's fork server imports before it forks workers: NumPy and the worker, once for all."""

from __future__ import annotations

from . import signals
from . import worker as worker

signals.leave_to_the_parent()
