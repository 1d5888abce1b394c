"""Settings, read from the environment and `.env`; `.env.example` documents each one.

One switch, `ENVIRONMENT=demo|production`, decides all rules that differ between the demo and production.
"""

# ruff: noqa: F403  (Django reads every upper-case name of this module)

from zenzefi.settings.accounts import *
from zenzefi.settings.api import *
from zenzefi.settings.deployment import *
from zenzefi.settings.jobs import *
from zenzefi.settings.keys import *
from zenzefi.settings.logs import *
from zenzefi.settings.payments import *
from zenzefi.settings.production import *
from zenzefi.settings.proxy import *
from zenzefi.settings.site import *
from zenzefi.settings.stores import *
