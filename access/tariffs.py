"""Changes of tariffs. Tokens that were already sold keep their price, duration and scope."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from access.errors import TariffExists, TariffNotFound
from access.models import Scope, Tariff
from accounts import audit
from accounts.models import User


@transaction.atomic
def create(values: dict[str, Any], *, actor: User) -> Tariff:
    """Put a tariff on sale. The default scope is full access. Raises `TariffExists`."""
    tariff = Tariff(**values)
    hours = _("%(hours)d h") % {"hours": tariff.duration_hours}
    tariff.title = tariff.title or f"{hours}, {Scope(tariff.scope).label}"
    with _raising_tariff_exists():
        tariff.save(force_insert=True)
    _record("tariff_created", tariff, actor)
    return tariff


@transaction.atomic
def change(tariff_id: UUID, values: dict[str, Any], *, actor: User) -> Tariff:
    """Change a tariff for future purchases. Raises `TariffNotFound`, `TariffExists`."""
    with _raising_tariff_exists():
        if values:
            Tariff.objects.filter(pk=tariff_id).update(**values)
    tariff = Tariff.objects.filter(pk=tariff_id).first()
    if tariff is None:
        raise TariffNotFound
    _record("tariff_changed", tariff, actor)
    return tariff


@transaction.atomic
def delete(tariff_id: UUID, *, actor: User) -> None:
    """Take a tariff off sale. Raises `TariffNotFound`."""
    tariff = Tariff.objects.filter(pk=tariff_id).first()
    if tariff is None or not Tariff.objects.filter(pk=tariff_id).delete()[0]:
        raise TariffNotFound
    _record("tariff_deleted", tariff, actor)


def _record(kind: str, tariff: Tariff, actor: User) -> None:
    audit.record(
        kind,
        None,
        actor=actor,
        tariff_id=str(tariff.pk),
        title=tariff.title,
        duration_hours=tariff.duration_hours,
        scope=tariff.scope,
        price=str(tariff.price),
    )


@contextmanager
def _raising_tariff_exists() -> Iterator[None]:
    """Raise `TariffExists` if the block violates the unique constraint on duration and scope."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        raise TariffExists from error
