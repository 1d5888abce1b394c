"""Logs: one JSON object per line, with the request's id."""

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
        "brief": {"()": "zenzefi.common.logging_filters.Brief"},
        "sparse": {"()": "zenzefi.common.logging_filters.Sparse"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "stream": sys.stderr, "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        **{name: {"level": "INFO"} for name in ("accounts", "billing", "access", "proxy", "zenzefi")},
        # A client's mistake is no event of ours, and would let it write our log.
        "django.request": {"level": "ERROR", "filters": ["brief"]},
        # What was to be sent after a commit, and could not.
        "django.db.backends.base": {"filters": ["brief"]},
        "django.security": {"level": "CRITICAL"},
        # A line for each request that is no HTTP.
        "uvicorn.error": {"filters": ["sparse"]},
    },
}
