"""The HTTP side of the data plane: `/api/v1/proxy/…`, as an ASGI application outside Django's handler."""

from proxy.dataplane import plane
from proxy.dataplane.admission import handoff_codes
from proxy.dataplane.asgi import CONNECTION, FORWARDED_FOR, TARGET, Receive, Scope, Send
from proxy.dataplane.denials import pages
from proxy.dataplane.denials.log import RequestInfo, denial_details
from proxy.dataplane.denials.pages import denial_page, is_navigation
from proxy.dataplane.denials.responses import denial_response, request_id
from proxy.dataplane.errors import BAD_REQUEST, DEVICE_CONFLICT, ClientGone, Denied
from proxy.dataplane.http.exchange import HttpExchange
from proxy.dataplane.http.own_endpoints import find_endpoint, respond
from proxy.dataplane.plane import DataPlane
from proxy.dataplane.rules.forwarded_headers import gateway_headers, upstream_headers
from proxy.dataplane.rules.headers import RequestHead, read_request
from proxy.dataplane.rules.paths import upstream_path
from proxy.dataplane.rules.proxy_host import is_on_proxy_host, prefix_of

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_METHODS = _SAFE_METHODS | {"POST", "PUT", "PATCH", "DELETE"}
# The fields of a denied request that decide the form of its response.
_DENIAL_FIELDS = pages.HEADERS | {b"x-request-id"}


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Admit a request and exchange it with the upstream, or deny it."""
    gateway = plane.current()
    head = RequestHead()
    try:
        head = read_request(scope["headers"], scope["http_version"])
        head.request_id = request_id(head.request_id)
        endpoint = find_endpoint(scope, on_proxy_host=is_on_proxy_host(scope))
        if endpoint is not None:
            await endpoint(gateway, head, scope, send)
        else:
            await _exchange(gateway, head, scope, receive, send)
    except Denied as denied:
        await _deny(gateway, denied, head, scope, send)
    except ClientGone:
        gateway.metrics.denials["client_gone"] += 1


async def _exchange(gateway: DataPlane, head: RequestHead, scope: Scope, receive: Receive, send: Send) -> None:
    prefix, method, client = prefix_of(scope), scope["method"], scope["client"]
    path = upstream_path(scope["raw_path"], prefix)
    if method not in _METHODS:
        raise Denied(BAD_REQUEST)
    ip = client[0] if client else None
    identity, session = await gateway.gate.admit(
        head, path, on_proxy_host=not prefix, ip=ip, unsafe=method not in _SAFE_METHODS
    )
    grant, passed, rewriter = identity.grant, head.passed, None
    # Requests with credentials in header fields get every byte unchanged; on PROXY_HOST nothing needs a change.
    if identity.from_cookie and prefix:
        rewriter, passed = gateway.rewriting.begin(passed, _own_origin(gateway, head, scope))
    timeouts = (gateway.config.body_timeout, gateway.config.upstream_timeout)
    exchange = HttpExchange(grant, session, scope.get(CONNECTION), timeouts, prefix, rewriter)
    chain = scope.get(FORWARDED_FOR) or ip or "unknown"
    try:
        gateway.in_flight.add(exchange)
        try:
            await exchange.run(
                gateway.upstream, method, path + _query(scope),
                upstream_headers(passed, head, grant, chain, scope["scheme"]),
                head.has_body, receive, send, gateway_headers(grant, head.request_id),
            )  # fmt: skip
        finally:
            gateway.in_flight.remove(exchange)
            gateway.metrics.responses[exchange.status] += 1
    except Denied as denied:
        identity.attach_to(denied)
        raise


def _own_origin(gateway: DataPlane, head: RequestHead, scope: Scope) -> bytes:
    """Return the origin under which the browser sees the gateway; a proxy in front may drop the port from `Host`."""
    stated, scheme = gateway.config.own_origin, str(scope["scheme"])
    if not head.host or stated.rpartition(b":")[0].endswith(b"//" + head.host):
        return stated
    return scheme.encode() + b"://" + head.host


def _query(scope: Scope) -> bytes:
    """Return the query with its `?`, which may stand alone."""
    query: bytes = scope["query_string"]
    return b"?" + query if query or scope.get(TARGET, b"").endswith(b"?") else b""


async def _deny(gateway: DataPlane, denied: Denied, head: RequestHead, scope: Scope, send: Send) -> None:
    denial, client, on_proxy_host = denied.denial, scope["client"], is_on_proxy_host(scope)
    gateway.metrics.denials[denial.code] += 1
    received = {name: value for name, value in scope["headers"] if name in _DENIAL_FIELDS}
    # The id that the upstream may have seen; there is none yet if the header block could not be read.
    identifier = head.request_id or request_id(received.get(b"x-request-id", b""))
    details = denial_details(denied)
    signs_in = on_proxy_host and scope["raw_path"] == handoff_codes.PATH  # a form of the site's page
    if is_navigation("GET" if signs_in else scope["method"], received):
        if denied.token is not None and denial is DEVICE_CONFLICT:
            details |= await gateway.holders.describe(denied.token.token_id)
        site = gateway.config.own_origin.decode() if on_proxy_host else ""
        status, headers, body = denial_page(gateway.config, denied, details, identifier, received, site)
    else:
        status, headers, body = denial_response(denied, received.get(b"accept-language", b""))
    device = denied.device.encode() or head.device
    request = RequestInfo(identifier, scope["raw_path"], client[0] if client else None, device, denied.token)
    gateway.denials.add(denial, status, request, details)
    await respond(send, status, [*headers, (b"x-request-id", identifier)], body)
