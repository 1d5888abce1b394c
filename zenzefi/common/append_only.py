"""Tables whose rows the database itself refuses to change or delete."""

from collections.abc import Callable

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import RunPython
from django.db.migrations.state import StateApps


def append_only_sql(vendor: str, table: str) -> list[str]:
    """The statements that make `table` append-only: UPDATE and DELETE of a row raise a database error."""
    refusal = f"rows of {table} are never changed or deleted"
    if vendor == "sqlite":
        return [
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
            for verb in ("UPDATE", "DELETE")
        ]
    return [
        (
            f"CREATE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{refusal}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
        ),
        (
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {table}_append_only()"
        ),
    ]


def drop_append_only_sql(vendor: str, table: str) -> list[str]:
    """The statements that undo `append_only_sql`."""
    if vendor == "sqlite":
        return [f"DROP TRIGGER {table}_no_{verb}" for verb in ("update", "delete")]
    return [f"DROP TRIGGER {table}_append_only ON {table}", f"DROP FUNCTION {table}_append_only()"]


def append_only(table: str) -> RunPython:
    """The migration operation that guards `table`."""
    return RunPython(_running(append_only_sql, table), _running(drop_append_only_sql, table))


def append_only_tables(connection: BaseDatabaseWrapper) -> list[str]:
    """The append-only tables of an SQLite database: its flush deletes row by row and must lift the guards."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tbl_name FROM sqlite_master WHERE type = 'trigger' AND name LIKE '%_no_delete'")
        return [name for (name,) in cursor.fetchall()]


def _running(
    sql: Callable[[str, str], list[str]], table: str
) -> Callable[[StateApps, BaseDatabaseSchemaEditor], None]:
    def run(_apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
        for statement in sql(editor.connection.vendor, table):
            editor.execute(statement, params=None)

    return run
