"""The log of an outage: one line per failed request, without a traceback."""

import logging

import pytest
from django.db import OperationalError
from redis.exceptions import RedisError

from zenzefi.common.logging_filters import OutageFilter


def logged(error):
    """Return the log record of an error after the filter."""
    given = ("Failed", "/x"), (type(error), error, None)
    record = logging.LogRecord("django.request", logging.ERROR, "", 0, "%s: %s", *given)
    assert OutageFilter().filter(record)
    return record


@pytest.mark.parametrize("error", [OperationalError("it is %s gone"), RedisError("it is %s gone")])
def test_an_outage_is_a_line(error):
    record = logged(error)
    assert (record.getMessage(), record.exc_info) == ("Failed: /x: it is %s gone", None)


def test_an_error_of_ours_keeps_its_traceback():
    record = logged(ValueError("?"))
    assert (record.getMessage(), record.exc_info[0]) == ("Failed: /x", ValueError)
