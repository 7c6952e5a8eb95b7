"""Names of `memgate.data.items.tasks` for models registered up to November 2026.

Each of those models carries a copy of its code that imports from here.
"""

from memgate.data.items.tasks import GRAMMATICALITY, INFLECTION, Task

__all__ = ["GRAMMATICALITY", "INFLECTION", "Task"]
