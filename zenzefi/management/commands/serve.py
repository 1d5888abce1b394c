"""The main command: prepare database and static files, then serve the gateway, its jobs and the demo upstream."""

import contextlib
import sys
from argparse import SUPPRESS, ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, call_command
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper as PostgreSQL

from accounts.models import User
from zenzefi import demo, env
from zenzefi.runtime import jobs, server, sockets, supervisor
from zenzefi.runtime.static_files import collect_if_outdated
from zenzefi.runtime.worker import run as run_worker


class Command(BaseCommand):
    help = "Serve Zenzefi: migrate, then run the gateway and its background jobs until Ctrl-C or SIGTERM."
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--without-jobs",
            action="store_true",
            help="do not run background jobs: a Celery worker and beat elsewhere do",
        )
        # Used by `zenzefi.runtime.supervisor`: descriptors of the heartbeat pipe and the sockets.
        parser.add_argument("--worker", nargs="+", type=int, help=SUPPRESS)

    def handle(self, *_args: Any, without_jobs: bool, worker: list[int] | None, **_options: Any) -> None:
        try:
            started = run_worker(*worker) if worker else self._serve(without_jobs=without_jobs)
        except sockets.PortUnavailable as error:
            sys.exit(str(error))
        if not started:
            sys.exit(1)

    def _serve(self, *, without_jobs: bool) -> bool:
        gateway = sockets.bind_for_workers(settings.HOST, settings.PORT, settings.WORKERS)
        demo_port = settings.DEMO_UPSTREAM_PORT if settings.DEMO_UPSTREAM else None
        upstream = sockets.listen("127.0.0.1", demo_port, "DEMO_UPSTREAM_PORT") if demo_port else None
        collect_if_outdated()
        call_command("migrate", verbosity=0, interactive=False)
        _create_superuser()
        cast = None if settings.PRODUCTION else demo.prepare()
        _disconnect()
        run = server.run if settings.WORKERS == 1 else supervisor.run
        with contextlib.nullcontext() if without_jobs else jobs.running():
            return run(gateway, upstream, lambda: self._announce(cast))

    def _announce(self, cast: demo.Demo | None) -> None:
        self.stdout.write(f"Zenzefi is ready: {settings.BACKEND_URL}")
        if cast is not None:
            self.stdout.write(_INTRODUCTION.format(url=settings.BACKEND_URL, cast=cast, demo=demo))
        self.stdout.flush()


_INTRODUCTION = """
  operator  {demo.OPERATOR}  password {cast.operator_password}  (admin: {url}/admin/)
  customer  {demo.CUSTOMER}  password {cast.customer_password}  (API: {url}/docs)

The customer has credits and a token. To fetch a page through the proxy:

  curl -H 'X-Access-Token: {cast.token}' -H 'X-Device-ID: {demo.DEVICE}' {url}/api/v1/proxy/

Press Ctrl-C to stop."""


def _disconnect() -> None:
    """Close the database connections: child processes must not inherit them, nor the threads of their pool."""
    connection = connections["default"]
    connection.close()
    if isinstance(connection, PostgreSQL):
        connection.close_pool()


def _create_superuser() -> None:
    """Create the operator named by `DJANGO_SUPERUSER_*`, unless a user with this e-mail address exists."""
    email, password = env.text("DJANGO_SUPERUSER_EMAIL"), env.text("DJANGO_SUPERUSER_PASSWORD")
    if not (email and password) or User.objects.filter(email__iexact=email).exists():
        return
    username = env.text("DJANGO_SUPERUSER_USERNAME") or email.partition("@")[0]
    User.objects.create_superuser(email, username, password)
