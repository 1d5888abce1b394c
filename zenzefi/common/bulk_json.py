"""Many rows read or written as one JSON value.

Binding or converting each value of a row costs more time than writing or reading it. Each row fetched also releases
the interpreter lock, so a job that fetches 10 000 rows one by one would interrupt a busy gateway as many times.
"""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import DurationField, Model, QuerySet


def read(query: QuerySet[Any], names: Sequence[str]) -> list[list[Any]]:
    """Return the rows of a query as lists of the values of these columns.

    Values of types that JSON does not have, such as times, are strings.
    """
    sql, values = query.values(*names).query.get_compiler(connection=connection).as_sql()
    columns = ", ".join(names)
    if connection.vendor == "postgresql":
        rows = f"json_agg(json_build_array({columns}))::text"
    else:
        rows = f"json_group_array(json_array({columns}))"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {rows} FROM ({sql}) AS rows", values)  # noqa: S608  (column names, and SQL from Django)
        (found,) = cursor.fetchone()
    return json.loads(found) if found else []


def insert(model: type[Model], names: Sequence[str]) -> str:
    """Return `INSERT INTO … SELECT …` for a JSON array of rows, each an array of the values of these fields.

    The array is the only parameter of the statement. A value has the text form of the database, a duration is a
    number of microseconds. The caller may append `ON CONFLICT …`.
    """
    columns = ", ".join(field.column for field in _fields(model, names))
    # The condition is for SQLite, which would otherwise parse `ON CONFLICT` as the condition of a join.
    return f"INSERT INTO {model._meta.db_table} ({columns}) {select(model, names)} WHERE true"  # noqa: SLF001


def select(model: type[Model], names: Sequence[str]) -> str:
    """Return `SELECT …` for the rows of such an array, with the names of the columns of the fields."""
    return _select(model, tuple(names), connection.vendor)


@cache
def _select(model: type[Model], names: tuple[str, ...], vendor: str) -> str:
    fields = _fields(model, names)
    if vendor == "postgresql":
        values, source = list(map(_postgresql_value, range(len(fields)), fields)), "json_array_elements(%s::json)"
    else:
        values, source = [f"json_extract(value, '$[{n}]')" for n in range(len(fields))], "json_each(%s)"
    named = ", ".join(f"{value} AS {field.column}" for value, field in zip(values, fields, strict=True))
    return f"SELECT {named} FROM {source} AS rows"  # noqa: S608  (column names, and SQL from Django)


def _fields(model: type[Model], names: Sequence[str]) -> list[Any]:
    return [model._meta.get_field(name) for name in names]  # noqa: SLF001  (Django documents it)


def _postgresql_value(number: int, field: Any) -> str:
    if isinstance(field, DurationField):
        return f"(value->>{number})::bigint * interval '1 microsecond'"
    return f"(value->>{number})::{field.db_type(connection)}"
