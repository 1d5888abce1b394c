"""Responses to denied requests, their texts, and the denial log. The denials are defined in `proxy.dataplane.errors`."""
