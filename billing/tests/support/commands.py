"""Management commands run inside the test."""

from io import StringIO

from django.core.management import call_command


def run_command(name: str, *arguments: str) -> tuple[int, list[str]]:
    """Return the exit status and the output lines of a command."""
    output, status = StringIO(), 0
    try:
        call_command(name, *arguments, stdout=output)
    except SystemExit as end:
        status = int(end.code or 0)
    return status, output.getvalue().splitlines()


def verify_ledger() -> tuple[int, list[str]]:
    """Run `manage.py verify_ledger`."""
    return run_command("verify_ledger")
