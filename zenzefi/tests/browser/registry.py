"""Every page of the site, once: what the checks of accessibility, weight and queries and the screenshots go through.

A new page is one line here. `{names}` in a path are filled in from `scenery.build()`.
"""

from dataclasses import dataclass

ANYONE, CUSTOMER, NEWCOMER, OPERATOR = "anyone", "customer", "newcomer", "operator"


@dataclass(frozen=True)
class SitePage:
    """`who` looks: nobody signed in, a customer with a history, one without, or an operator."""

    name: str
    path: str
    who: str = ANYONE
    status: int = 200


PAGES = [
    SitePage("landing", "/"),
    SitePage("landing-signed-in", "/", CUSTOMER),
    SitePage("error-404", "/nothing", status=404),
    SitePage("checkout", "/pay/mock/{payment}"),
]
