#!/usr/bin/env python
"""Django's command line; `manage.py serve` is the main command."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zenzefi.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"Zenzefi cannot start: {error}")


if __name__ == "__main__":
    main()
