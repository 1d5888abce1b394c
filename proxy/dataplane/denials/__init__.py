"""Responses to denied requests, their texts, and their log. The denials are defined in `proxy.dataplane.errors`."""
