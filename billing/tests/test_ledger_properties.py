"""Any sequence of movements agrees with a simple model, and the ledger's rules hold after each step."""

from decimal import Decimal

import pytest
from django.db import transaction
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from accounts.tests.factories import UserFactory
from billing import ledger, services
from billing.errors import InsufficientBalance
from billing.idempotency import Call
from billing.models import SystemAccount, Transaction, TransactionType

amounts = st.integers(1, 2000).map(lambda hundredths: Decimal(hundredths).scaleb(-2))
people = st.sampled_from(["alice", "bob"])


class LedgerMachine(RuleBasedStateMachine):
    """Two wallets against two numbers."""

    def __init__(self):
        super().__init__()
        self.example = transaction.atomic()
        self.example.__enter__()

    def teardown(self):
        transaction.set_rollback(True)
        self.example.__exit__(None, None, None)

    @initialize()
    def open(self):
        self.users = {name: UserFactory(username=name) for name in ("alice", "bob")}
        self.operator = UserFactory(username="olga")
        self.balances = dict.fromkeys(self.users, Decimal(0))
        self.transactions = 0
        self.sent = []

    def moved(self, name, amount):
        self.balances[name] += amount
        self.transactions += 1

    @rule(name=people, amount=amounts)
    def deposit(self, name, amount):
        ledger.move(self.users[name], amount, SystemAccount.DEPOSITS, TransactionType.DEPOSIT, "in")
        self.moved(name, amount)

    @rule(name=people, amount=amounts)
    def buy(self, name, amount):
        user, price = self.users[name], -amount
        if self.balances[name] < amount:
            with pytest.raises(InsufficientBalance):
                ledger.move(user, price, SystemAccount.REVENUE, TransactionType.PURCHASE, "out")
        else:
            ledger.move(user, price, SystemAccount.REVENUE, TransactionType.PURCHASE, "out")
            self.moved(name, price)

    @rule(name=people, amount=amounts)
    def top_up_with_a_key(self, name, amount):
        call = Call(self.users[name], "top-up", f"key-{len(self.sent)}", {"amount": amount})
        services.mock_purchase(call, amount)
        self.sent.append((call, amount, self.balances[name] + amount))
        self.moved(name, amount)

    @rule(data=st.data())
    def repeat_a_top_up(self, data):
        if self.sent:
            call, amount, balance = data.draw(st.sampled_from(self.sent))
            assert services.mock_purchase(call, amount).balance == balance

    @rule(name=people, goal=amounts | st.just(Decimal(0)))
    def adjust(self, name, goal):
        services.adjust_balance(self.users[name], goal, actor=self.operator, reason="a correction")
        if goal != self.balances[name]:
            self.moved(name, goal - self.balances[name])

    @invariant()
    def the_ledger_agrees(self):
        assert {name: ledger.balance(user) for name, user in self.users.items()} == self.balances
        assert all(balance >= 0 for balance in self.balances.values())
        assert Transaction.objects.count() == self.transactions
        assert ledger.verify() == []


@pytest.mark.django_db
def test_any_sequence_of_movements_keeps_the_rules():
    # case A13
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(max_examples=30, stateful_step_count=25, deadline=None, print_blob=True),
    )
