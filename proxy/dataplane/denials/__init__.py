"""Responses to denied requests, and their texts. The denials with their codes are in `proxy.dataplane.errors`."""
