"""Signals that end the program."""

import os
import select
import signal
import threading
from collections.abc import Callable


def call_on_exit_signal(leave: Callable[[int], None]) -> None:
    """Call `leave` with each SIGINT, SIGTERM and SIGHUP, and with SIGHUP when the terminal ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: leave(number))
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it
        signal.signal(signal.SIGHUP, lambda number, _frame: leave(number))
        threading.Thread(target=_hang_up_with_terminal, name="terminal", daemon=True).start()


def _hang_up_with_terminal() -> None:
    """Wait for the end of the terminal, if there is one. The kernel tells only the session's leader, which may be a
    `make` that then waits for us."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return
    hang_up = select.poll()
    hang_up.register(terminal, 0)  # nothing but POLLHUP and POLLERR, which need not be asked for
    hang_up.poll()
    os.kill(os.getpid(), signal.SIGHUP)
