"""Names of `memgate.gates.explain.traces` for models registered up to November 2026.

Each of those models carries a copy of its code that imports from here.
"""

from memgate.gates.explain.traces import Traces as Courses
from memgate.gates.explain.traces import known_units
from memgate.gates.explain.traces import traces as courses

__all__ = ["Courses", "courses", "known_units"]
