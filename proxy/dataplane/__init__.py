"""The data plane: the gateway's traffic, outside Django's handler and without the ORM on the way of a request.

The way of an HTTP request (a WebSocket goes the same way through `websocket/` instead of `http/`):

    client
      │  server/http_protocol     reads the request strictly (uvicorn and httptools, hardened)
      │  server/trusted_proxies   takes the client's address from a trusted proxy
      ▼
    http/handler ── http/own_endpoints      status, browser session, sign-in on PROXY_HOST
      │  rules/headers            reads the header block once; pure, like everything in rules/
      │  admission/gate           admits or raises `errors.Denied`:
      │     admission/grant_cache     the token's grant, behind it one database read
      │     admission/rate_limit      the user's permits
      │     state/                    the device lease, shared by all workers
      │  sessions/in_flight       registers the exchange, so that a revocation can end it
      ▼
    http/exchange
      │  rules/forwarded_headers  fields for the upstream, and fields for the client
      │  upstream/client          a connection from the pool, HTTP/1.1
      │  rewriting/response       pages for a browser under the path prefix
      │  sessions/accounting      counts bytes and requests of the session
      ▼
    client, with the upstream's response, or with a denial:
         denials/responses  denials/pages  denials/messages   as JSON or as a page
         denials/log                                          kept for those who ask for the reason

Besides the requests, each worker runs jobs, which `plane` starts:

    admission/revocation_feed   reads the outbox of revocations; jobs/cutoffs applies them
    jobs/cutoffs                ends what outlived its token or waits too long
    jobs/leases                 renews the leases of open streams
    jobs/flush                  writes counts (sessions/session_writer) and denials (denials/log)

`records` holds what the parts share: Grant, Session, PermitBlock. `config` is the only module that reads settings.
"""
