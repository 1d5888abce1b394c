"""Reading IP addresses."""

import pytest

from zenzefi.common.ip_addresses import normalise_ip_address


# case G79
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:201", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        # A zone means nothing on another host, and the database rejects it.
        ("fe80::1%eth0", "fe80::1"),
        ("fe80::1%<b>", "fe80::1"),
        ("::ffff:192.0.2.1%eth0", "192.0.2.1"),
        ("", None),
        ("unknown", None),
        ("192.0.2.256", None),
        ("192.0.2.01", None),
        ("192.0.2", None),
        ("1", None),
        ("0x7f.1", None),
        ("localhost", None),
        ("::1::", None),
        ("٣.٣.٣.٣", None),
    ],
)
def test_an_address_is_read_in_any_usual_form(text, expected):
    assert normalise_ip_address(text) == expected
