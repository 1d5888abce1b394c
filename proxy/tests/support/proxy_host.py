"""Addresses of the site and of PROXY_HOST in tests."""

HOST = "proxy.example"
ORIGIN = f"http://{HOST}"
SITE = "http://zenzefi.example"
