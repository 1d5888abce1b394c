"""The figures of statements agree for any movements and any periods."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import time_machine
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.tests.factories import UserFactory
from billing import ledger
from billing.models import SystemAccount, TransactionType
from billing.statements import statement

START = datetime(2026, 3, 1, tzinfo=UTC)

moments = st.integers(0, 20).map(lambda hours: START + timedelta(hours=hours))
amounts = st.integers(-500, 1000).filter(bool).map(lambda hundredths: Decimal(hundredths).scaleb(-2))
movements = st.lists(st.tuples(moments, amounts), max_size=12).map(lambda made: sorted(made, key=lambda one: one[0]))
cuts = st.lists(moments, min_size=2, max_size=4, unique=True).map(sorted)


def drawn(user, start, end):
    with statement(user, start, end) as found:
        return found, list(found.lines())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(movements, cuts)
def test_opening_and_movements_give_the_closing_balance(db, wanted, periods):
    with transaction.atomic():
        user, made = UserFactory(username="alice"), []
        for moment, amount in wanted:
            with time_machine.travel(moment, tick=False):
                if ledger.balance(user) + amount >= 0:
                    ledger.move(user, amount, SystemAccount.ADJUSTMENTS, TransactionType.ADJUSTMENT, "moved")
                    made.append((moment, amount))
        closed = sum((amount for moment, amount in made if moment < periods[0]), Decimal(0))
        for start, end in pairwise(periods):
            found, lines = drawn(user, start, end)
            assert found.opening_balance == closed  # the closing balance of the previous period
            assert [(line.created_at, line.amount) for line in lines] == [
                (moment, amount) for moment, amount in made if start <= moment < end
            ]
            assert found.opening_balance + sum(line.amount for line in lines) == found.closing_balance
            assert [line.balance_after for line in lines][-1:] in ([], [found.closing_balance])
            assert found.total_in - found.total_out == sum(line.amount for line in lines)
            assert found.movements == len(lines)
            closed = found.closing_balance
        transaction.set_rollback(True)
