"""Many rows as one JSON value, in and out of the database.

To bind or convert each value of a row costs more than to write or read it. And a row that is fetched gives the
interpreter away: a job that fetches ten thousand beside a busy gateway interrupts it as often.
"""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import DurationField, Model, QuerySet


def read(query: QuerySet[Any], names: Sequence[str]) -> list[list[Any]]:
    """The rows of a query, each a list of the values of these columns; what JSON does not know is text."""
    sql, values = query.values(*names).query.get_compiler(connection=connection).as_sql()
    columns = ", ".join(names)
    if connection.vendor == "postgresql":
        rows = f"json_agg(json_build_array({columns}))::text"
    else:
        rows = f"json_group_array(json_array({columns}))"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {rows} FROM ({sql}) AS rows", values)  # noqa: S608  (names, and what Django made)
        (found,) = cursor.fetchone()
    return json.loads(found) if found else []


def insert(model: type[Model], names: Sequence[str]) -> str:
    """`INSERT INTO … SELECT …` of a JSON array of rows, each an array of the values of these fields.

    A value is as the database writes it in text, a duration its microseconds. The statement may go on with
    `ON CONFLICT`, and takes the array as its one parameter.
    """
    columns = ", ".join(field.column for field in _fields(model, names))
    # `WHERE` as SQLite would take `ON CONFLICT` for the condition of a join.
    return f"INSERT INTO {model._meta.db_table} ({columns}) {select(model, names)} WHERE true"  # noqa: SLF001


def select(model: type[Model], names: Sequence[str]) -> str:
    """`SELECT …` of such an array's rows, with the names of the fields' columns."""
    return _select(model, tuple(names), connection.vendor)


@cache
def _select(model: type[Model], names: tuple[str, ...], vendor: str) -> str:
    fields = _fields(model, names)
    if vendor == "postgresql":
        values, source = list(map(_of_postgresql, range(len(fields)), fields)), "json_array_elements(%s::json)"
    else:
        values, source = [f"json_extract(value, '$[{n}]')" for n in range(len(fields))], "json_each(%s)"
    named = ", ".join(f"{value} AS {field.column}" for value, field in zip(values, fields, strict=True))
    return f"SELECT {named} FROM {source} AS rows"  # noqa: S608  (names, and what Django made)


def _fields(model: type[Model], names: Sequence[str]) -> list[Any]:
    return [model._meta.get_field(name) for name in names]  # noqa: SLF001  (Django documents it)


def _of_postgresql(number: int, field: Any) -> str:
    if isinstance(field, DurationField):
        return f"(value->>{number})::bigint * interval '1 microsecond'"
    return f"(value->>{number})::{field.db_type(connection)}"
