"""News from billing for the layers above, sent inside the transaction that makes it true."""

from django.dispatch import Signal

debt_incurred = Signal()  # kwargs: user, who owes more than before
debt_paid = Signal()  # kwargs: user, who owes nothing any more
payment_credited = Signal()  # kwargs: payment, whose credits are on the balance
