"""Stand-ins for the APIs of the payment providers, on loopback, with the shapes of their documentation.

They keep state, require the API key, remember idempotence keys as the originals do, record every call, and can be
slow, unreachable or faulty. The real SDKs call them.
"""
