"""A program that creates the scenery in the configured database and prints it as JSON."""

import json
import os
import sys
from dataclasses import asdict

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zenzefi.settings")
django.setup()

from django.core.management import call_command  # noqa: E402

from zenzefi.tests.browser import scenery  # noqa: E402

if __name__ == "__main__":
    call_command("migrate", verbosity=0, interactive=False)
    json.dump(asdict(scenery.build()), sys.stdout)
