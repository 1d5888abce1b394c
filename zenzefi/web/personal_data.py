"""The page on which users download their personal data."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from accounts.requests import current_user
from accounts.web.reauthentication import reauthentication_required_at
from zenzefi.common.download import Download
from zenzefi.personal_data import write_archive


@login_required
@reauthentication_required_at("personal-data")
@require_http_methods(["GET", "HEAD", "POST"])
def personal_data(request: HttpRequest) -> HttpResponseBase:
    """Describe the archive; on POST return it. The browser saves the file and stays on the page."""
    user = current_user(request)
    if request.method == "POST":
        return Download(
            lambda file: write_archive(user, file), filename="zenzefi-my-data.zip", content_type="application/zip"
        )
    context = {
        "title": gettext("Download my data"),
        "consequences": [
            gettext(
                "You get a ZIP file with all data that we keep about you: profile, logins, payments, tokens, usage."
            ),
            gettext("It contains no passwords and no secret tokens. It shows the data at the time of the download."),
        ],
        "action": gettext("Download"),
        "safe": True,
        "cancel_url": reverse("profile"),
    }
    return render(request, "confirm.html", context)
