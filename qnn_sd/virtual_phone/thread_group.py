"""A group of threads that can be joined together."""

from __future__ import annotations

import threading
from collections.abc import Callable


class ThreadGroup:
    """Starts threads; ``join`` returns when all have ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[threading.Thread] = set()

    def start(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """Runs ``work`` in a new thread."""

        def run() -> None:
            try:
                work()
            finally:
                with self._lock:
                    self._running.discard(threading.current_thread())

        thread = threading.Thread(target=run, name=name, daemon=True)
        with self._lock:
            self._running.add(thread)
        thread.start()
        return thread

    def join(self) -> None:
        """Waits for the end of every thread, those that start meanwhile included."""
        while True:
            with self._lock:
                running = list(self._running)
            if not running:
                return
            for thread in running:
                thread.join()
