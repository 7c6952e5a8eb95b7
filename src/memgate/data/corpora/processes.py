"""Processes that work for this one and end with it; imports nothing heavy, as they import it first.

None is left alone with Ctrl-C, which is this process's to answer, and none outlives it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Result = TypeVar("Result")


@contextmanager
def workers(
    processes: int, begin: Callable[[], object] | None = None
) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool whose processes are killed at once where the block ends with an exception.

    They end too when this process is gone, even if it was killed. What their work starts by itself
    is not theirs to end. Work is to be handed over with `submit`.

    Args:
        processes: How many at a time, at least 1.
        begin: What each calls first, before the module of the work is imported.
    """
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")  # a fork copies the locks of torch and Arrow
    pool = ProcessPoolExecutor(processes, context, _begin, (begin,))
    try:
        yield pool
    except BaseException:  # what is half done is lost, so nobody waits for it
        for child in set(multiprocessing.active_children()) - others:
            child.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def submit(pool: Executor, work: Callable[..., Result], *given: object) -> Future[Result]:
    """Hand over work; a process that starts for it leaves Ctrl-C to this one from the first.

    Ctrl-C is put off meanwhile: a process half started would be left behind with it, and tell of
    it. The mask, which children inherit, is the thread's; Python's handler runs in the main thread
    whichever thread the signal comes to.

    Raises:
        KeyboardInterrupt: Ctrl-C came meanwhile.
        BrokenProcessPool: A process died since work was last handed over.
    """
    came: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()
    if is_main:
        before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(work, *given)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if is_main:
            signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


def _begin(begin: Callable[[], object] | None) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if begin is not None:
        begin()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
