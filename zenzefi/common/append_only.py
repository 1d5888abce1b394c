"""Append-only tables: database triggers reject UPDATE and DELETE."""

from collections.abc import Callable

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import RunPython
from django.db.migrations.state import StateApps


def append_only_sql(vendor: str, table: str) -> list[str]:
    """Return the statements that make `table` append-only: UPDATE and DELETE of a row raise a database error."""
    message = f"rows of {table} are never changed or deleted"
    if vendor == "sqlite":
        return [
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
            for verb in ("UPDATE", "DELETE")
        ]
    return [
        (
            f"CREATE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{message}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
        ),
        (
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {table}_append_only()"
        ),
    ]


def drop_append_only_sql(vendor: str, table: str) -> list[str]:
    """Return the statements that undo `append_only_sql`."""
    if vendor == "sqlite":
        return [f"DROP TRIGGER {table}_no_{verb}" for verb in ("update", "delete")]
    return [f"DROP TRIGGER {table}_append_only ON {table}", f"DROP FUNCTION {table}_append_only()"]


def append_only(table: str) -> RunPython:
    """Return the migration operation that makes `table` append-only."""
    return RunPython(_run_sql(append_only_sql, table), _run_sql(drop_append_only_sql, table))


def append_only_tables(connection: BaseDatabaseWrapper) -> list[str]:
    """Return the names of the append-only tables of an SQLite database.

    A flush deletes their rows one by one, so it has to drop the triggers first.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT tbl_name FROM sqlite_master WHERE type = 'trigger' AND name LIKE '%_no_delete'")
        return [name for (name,) in cursor.fetchall()]


def _run_sql(
    sql: Callable[[str, str], list[str]], table: str
) -> Callable[[StateApps, BaseDatabaseSchemaEditor], None]:
    def run(_apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
        for statement in sql(editor.connection.vendor, table):
            editor.execute(statement, params=None)

    return run
