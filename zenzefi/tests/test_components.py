"""The components of the pages. Their look is in the screenshots."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django import forms
from django.core.paginator import Paginator
from django.template import engines
from django.test import RequestFactory
from django.utils import timezone, translation

from zenzefi.common.templatetags import ui


def render(source: str, **context: Any) -> str:
    template = engines["django"].from_string("{% load ui %}" + source)
    return " ".join(str(template.render(context, RequestFactory().get("/list?type=refund&page=2"))).split())


@pytest.mark.parametrize(
    ("amount", "plain", "signed"),
    [
        ("18", "18.00\u00a0ZNC", "+18.00\u00a0ZNC"),
        ("-0.1", "−0.10\u00a0ZNC", "−0.10\u00a0ZNC"),
        ("0", "0.00\u00a0ZNC", "0.00\u00a0ZNC"),
        ("12345.67", "12345.67\u00a0ZNC", "+12345.67\u00a0ZNC"),
    ],
)
def test_money(amount: str, plain: str, signed: str) -> None:
    assert (ui.money(Decimal(amount)), ui.signed_money(Decimal(amount))) == (plain, signed)


def test_the_end_of_a_name_stays_with_its_ellipsis() -> None:
    assert ui.unbroken("In use by device …41.") == "In use by device …\u206041."


@pytest.mark.usefixtures("_translated")
@pytest.mark.parametrize(
    ("seconds", "english", "russian"),
    [
        (0, "0 s", "0 с"),
        (59.9, "59 s", "59 с"),
        (61, "1 min 1 s", "1 мин 1 с"),
        (3600, "1 h", "1 ч"),
        (3605, "1 h", "1 ч"),
        (90_000, "1 d 1 h", "1 д 1 ч"),
        (86_400 * 30, "30 d", "30 д"),
        (-5, "0 s", "0 с"),
    ],
)
def test_duration(seconds: float, english: str, russian: str) -> None:
    assert ui.duration(seconds).replace("\u00a0", " ") == english
    assert ui.duration(timedelta(seconds=seconds)) == ui.duration(seconds)
    with translation.override("ru"):
        assert ui.duration(seconds).replace("\u00a0", " ") == russian


@pytest.mark.usefixtures("_translated")
@pytest.mark.parametrize(
    ("count", "english", "russian"),
    [
        (1, "1 hour", "1 час"),
        (12, "12 hours", "12 часов"),
        (24, "1 day", "1 день"),
        (25, "1 day 1 hour", "1 день 1 час"),
        (169, "7 days 1 hour", "7 дней 1 час"),
        (720, "30 days", "30 дней"),
        (75, "3 days 3 hours", "3 дня 3 часа"),
    ],
)
def test_hours(count: int, english: str, russian: str) -> None:
    assert render("{{ count|hours }}", count=count) == english
    with translation.override("ru"):
        assert render("{{ count|hours }}", count=count) == russian


def test_time_left() -> None:
    now = timezone.now()
    html = render("{% time_left start end %}", start=now - timedelta(hours=1), end=now + timedelta(hours=1))
    assert '<progress max="7200" value="3599"' in html
    assert "59 min 59 s" in html.replace("\u00a0", " ")
    assert "expired" in render("{% time_left start end %}", start=now - timedelta(hours=2), end=now)


class Form(forms.Form):
    email = forms.EmailField(label="E-mail", help_text="We write <b>rarely</b>.")
    kind = forms.ChoiceField(label="Kind", choices=[("a", "A")], widget=forms.RadioSelect, required=False)
    agreed = forms.BooleanField(label="Agreed")
    unit = forms.ChoiceField(label="Unit", choices=[("x", "X")], required=False)

    def clean(self) -> None:
        raise forms.ValidationError("Not <today>")


def test_a_form_names_the_wrong_field_and_keeps_what_was_typed() -> None:
    html = render("{{ form }}", form=Form({"email": "no address"}))
    assert '<label class="form-label" for="id_email">' in html
    assert 'value="no address"' in html
    assert 'aria-invalid="true"' in html
    assert 'aria-describedby="id_email_helptext id_email_error"' in html
    assert '<div class="invalid-feedback" id="id_email_error">' in html
    assert 'id="id_email_helptext"' in html
    assert "Enter a valid email address." in html
    assert "Not &lt;today&gt;" in html
    assert '<legend class="form-label fs-6">Kind</legend>' in html
    assert '<label class="form-check-label" for="id_agreed">Agreed</label>' in html
    assert 'class="form-select"' in html


def test_pagination_keeps_the_filter() -> None:
    html = render("{% pagination page %}", page=Paginator(range(30), 10).page(2))
    assert 'href="?type=refund&amp;page=1"' in html
    assert 'href="?type=refund&amp;page=3"' in html
    assert "Page 2 of 3" in html
    assert render("{% pagination page %}", page=Paginator(range(3), 10).page(1)) == ""


@pytest.mark.parametrize(
    ("url", "marked"), [("/list", True), ("/", True), ("/lis", False), ("/list/", True), ("/other", False)]
)
def test_the_place_in_the_navigation(url: str, marked: bool) -> None:
    assert ("aria-current" in render("{% aria_current url %}", url=url)) is marked


def test_texts_are_escaped() -> None:
    for tag in (
        'tag "good" text',
        'alert "error" text',
        "page_header text",
        "stat text text",
        "empty_state text text",
    ):
        assert "<script>" not in render("{% " + tag + " %}", text="<script>")


def test_no_colour_stands_alone() -> None:
    assert "#x-circle-fill" in render('{% tag "bad" "Revoked" %}')
    assert 'role="alert"' in render('{% alert "error" "No." %}')
    assert 'role="status"' in render('{% alert "success" "Yes." %}')
