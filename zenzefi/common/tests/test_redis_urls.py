"""REDIS_URL in one form for all libraries."""

import pytest

from zenzefi.common.redis_urls import RedisURL

TLS = "?ssl_cert_reqs=required&ssl_check_hostname=true"


@pytest.mark.parametrize(
    ("text", "client", "limits", "broker"),
    [
        ("redis://cache", "redis://cache/0", "", ""),
        ("redis://cache:7000/2", "redis://cache:7000/2", "", ""),
        ("redis://cache?db=3", "redis://cache/3", "", ""),
        ("redis://cache/1?db=3", "redis://cache/3", "", ""),
        ("redis://:p%40ss%2Fword@cache:6379/0", "redis://:p%40ss%2Fword@cache:6379/0", "", ""),
        ("redis://user:p%23s@[::1]:6379", "redis://user:p%23s@[::1]:6379/0", "", ""),
        ("rediss://cache", f"rediss://cache/0{TLS}", "", ""),
        ("rediss://cache/1?ssl_cert_reqs=required", f"rediss://cache/1{TLS}", "", ""),
        ("rediss://cache/1?ssl_cert_reqs=CERT_REQUIRED&ssl_check_hostname=True", f"rediss://cache/1{TLS}", "", ""),
        (
            "unix:///run/redis.sock",
            "unix:///run/redis.sock?db=0",
            "redis+unix:///run/redis.sock?db=0",
            "redis+socket:///run/redis.sock?virtual_host=0",
        ),
        (
            "unix://:s3@/run/redis.sock?db=2",
            "unix://:s3@/run/redis.sock?db=2",
            "redis+unix://:s3@/run/redis.sock?db=2",
            "redis+socket://:s3@/run/redis.sock?virtual_host=2",
        ),
    ],
)
def test_each_library_gets_its_form(text: str, client: str, limits: str, broker: str) -> None:
    url = RedisURL.parse(text)

    assert (url.client, url.limits, url.broker) == (client, limits or client, broker or client)


def test_a_private_authority_is_passed_on(tmp_path) -> None:
    own, other = tmp_path / "own ca.pem", tmp_path / "other.pem"
    own.touch()
    other.touch()

    quoted = str(own).replace(" ", "%20")
    assert RedisURL.parse("rediss://cache", str(own)).client == f"rediss://cache/0{TLS}&ssl_ca_certs={quoted}"
    assert RedisURL.parse(f"rediss://cache?ssl_ca_certs={other}", str(own)).files == (("ssl_ca_certs", str(other)),)
    assert RedisURL.parse("redis://cache", str(own)).files == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("http://cache", "redis://"),
        ("redis+sentinel://cache/mymaster", "Sentinel"),
        ("sentinel://cache", "Sentinel"),
        ("redis+cluster://cache", "clusters"),
        ("cache:6379", "redis://"),
        ("redis://", "name a host"),
        ("redis:///0", "name a host"),
        ("redis://:s3#cret@cache", "percent-encoded"),
        ("redis://cache:0", "name a host"),
        ("redis://cache/zenzefi", "by its number"),
        ("redis://cache/-1", "by its number"),
        ("redis://cache?db=zenzefi", "by its number"),
        ("redis://cache/٣", "by its number"),
        ("rediss://cache?ssl_cert_reqs=none", "always verified"),
        ("rediss://cache?ssl_cert_reqs=optional", "always verified"),
        ("rediss://cache?ssl_cert_reqs=CERT_NONE", "always verified"),
        ("rediss://cache?ssl_cert_reqs=", "always verified"),
        ("rediss://cache?ssl_check_hostname=false", "always verified"),
        ("rediss://cache?ssl_ca_certs=/nowhere/ca.pem", "existing file"),
        ("rediss://cache?socket_timeout=1", "socket_timeout"),
        ("redis://cache?protocol=3", "protocol"),
        ("redis://cache?ssl_cert_reqs=required", "rediss://"),
    ],
)
def test_other_forms_are_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as error:
        RedisURL.parse(text)
    assert "s3" not in str(error.value)
