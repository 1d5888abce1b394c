"""What is raised while the database or Redis cannot be reached. The control plane answers it 503."""

import logging

from zenzefi.common.errors import OUTAGES


class Brief(logging.Filter):
    """Names an outage by one line: a traceback for every request of its time would hide everything else."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, OUTAGES):
            record.msg, record.args = f"{record.getMessage()}: {error}", ()
            record.exc_info = None
        return True
