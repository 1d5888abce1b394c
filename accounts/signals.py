"""Signals of accounts, sent inside the transaction of the change."""

from django.dispatch import Signal

user_activity_changed = Signal()  # kwargs: user, with the new `is_active`
password_changed = Signal()  # kwargs: user; not sent for a new user
superuser_created = Signal()  # kwargs: user, whose e-mail address needs no confirmation
