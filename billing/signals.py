"""Signals of billing for the layers above, sent inside the transaction of the change."""

from django.dispatch import Signal

debt_incurred = Signal()  # kwargs: user; their debt has grown
debt_paid = Signal()  # kwargs: user; their debt is zero again
payment_credited = Signal()  # kwargs: payment; its credits are on the balance
