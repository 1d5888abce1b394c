"""Signals that end the program."""

import os
import select
import signal
import threading
from collections.abc import Callable


def call_on_exit_signal(leave: Callable[[int], None]) -> None:
    """Call `leave` on each SIGINT, SIGTERM and SIGHUP, and on SIGHUP if the terminal is closed."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: leave(number))
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it
        signal.signal(signal.SIGHUP, lambda number, _frame: leave(number))
        threading.Thread(target=_watch_terminal, name="terminal", daemon=True).start()


def _watch_terminal() -> None:
    """Send SIGHUP to this process when its terminal is closed.

    The kernel signals only the leader of the session, which may be a `make` that waits for this process.
    """
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return  # there is no terminal
    closed = select.poll()
    closed.register(terminal, 0)  # POLLHUP and POLLERR are always reported
    closed.poll()
    os.kill(os.getpid(), signal.SIGHUP)
