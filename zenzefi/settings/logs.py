"""Logs: one JSON object per line, with the id of the request.

The message of a log call is the snake_case name of an event, and `extra` holds its fields.
"""

import sys

import structlog

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": [
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        }
    },
    "filters": {
        "outages": {"()": "zenzefi.common.logging_filters.OutageFilter"},
        "floods": {"()": "zenzefi.common.logging_filters.FloodFilter"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "stream": sys.stderr, "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        **{name: {"level": "INFO"} for name in ("accounts", "billing", "access", "proxy", "zenzefi")},
        # Errors of clients (4xx) are not logged: clients could fill the log.
        "django.request": {"level": "ERROR", "filters": ["outages"]},
        # Errors of functions that run after a commit, such as a job that could not be sent.
        "django.db.backends.base": {"filters": ["outages"]},
        "django.security": {"level": "CRITICAL"},
        # uvicorn logs a line for each request that is not HTTP.
        "uvicorn.error": {"filters": ["floods"]},
    },
}
