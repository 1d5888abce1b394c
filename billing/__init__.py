"""Money: the double-entry ledger, payments through providers, and their refunds.

One module per process:

    ledger                 the only writer of accounts, transactions and entries
    topups                 a user starts a payment, or takes demo credits
    checkouts              the checkout of a payment at its provider
    provider_leases        one worker at a time calls a provider about a payment or refund
    webhooks, poller       the two ways in which news of a payment arrives
    settlement             the provider's state of a payment, applied to the ledger
    payments               the statuses of a payment, and the only function that changes them
    debts                  credits taken back after they were spent
    payment_refunds        an operator refunds a payment
    adjustments            an operator sets a balance
    customers              operators find and change an account together with its wallet
    receipts, statements   documents for the user
    idempotency            a repeated call acts once
    verification           checks of the whole ledger, run by `verify_ledger` and nightly_verification
    reconciliation         payments compared with the books of their providers

`selectors` reads, and `providers` has one module per payment provider. `api`, `web`, `admin` and `tasks` parse, call
these modules and render.
"""
