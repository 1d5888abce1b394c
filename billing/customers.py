"""Customers in the administration: an account together with its wallet."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.errors import UserNotFound
from accounts.models import User
from accounts.services import set_active
from billing.adjustments import adjust_balance
from billing.idempotency import Call, once


def find_customers(search: str = "", is_active: bool | None = None) -> QuerySet[User]:
    """Return users with their wallets, newest first; `search` matches the e-mail, user name and full name."""
    found = User.objects.select_related("wallet").order_by("-created_at", "id")
    if is_active is not None:
        found = found.filter(is_active=is_active)
    if search:
        found = found.filter(
            Q(email__icontains=search) | Q(username__icontains=search) | Q(full_name__icontains=search)
        )
    return found


def change_customer(
    call: Call, user_id: UUID, *, balance: Decimal | None = None, active: bool | None = None, reason: str = ""
) -> User:
    """Change the balance (ZNC), the active state or both in one transaction, in the name of the call's user.

    A new balance needs a reason. Raises `UserNotFound` and the errors of `set_active` and `adjust_balance`.
    """

    def act() -> tuple[User, dict[str, Any]]:
        user = User.objects.filter(pk=user_id).first()
        if user is None:
            raise UserNotFound
        if active is not None:
            set_active(user, active, actor=call.user, reason=reason)
        if balance is not None:
            adjust_balance(user, balance, actor=call.user, reason=reason)
        return find_customers().get(pk=user_id), {}

    return once(call, act, lambda _ids: find_customers().get(pk=user_id))
