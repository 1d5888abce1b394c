"""Addresses of tests in which the upstream has a host of its own (PROXY_HOST)."""

HOST = "proxy.example"
ORIGIN = f"http://{HOST}"
SITE = "http://zenzefi.example"
