"""Stand-ins of the payment providers: their APIs on loopback, with the shapes of their documentation.

They keep state, ask for the key, remember idempotence keys as the originals do, record every call, and can be slow,
down or out of order. The real SDKs talk to them.
"""
