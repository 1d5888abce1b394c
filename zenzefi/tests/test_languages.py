"""The API, the gateway and the site respond in Russian if requested, else in English."""

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.core.mail import EmailMessage
from django.test import Client
from django.utils.translation import ngettext, override
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from accounts import services
from accounts.jwt import issue_access
from accounts.models import User
from conftest import fund
from proxy.dataplane import errors
from proxy.dataplane.denials.responses import denial_response
from proxy.dataplane.errors import Denial, Denied
from zenzefi import control_plane

CYRILLIC = re.compile("[а-яё]", re.IGNORECASE)
UNKNOWN = UUID(int=7)
DENIALS = [value for value in vars(errors).values() if isinstance(value, Denial)]


in_use = pytest.mark.usefixtures("_translated")


def russian(client: APIClient) -> APIClient:
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "ru"
    return client


ERRORS = {
    "a wrong login": (
        "POST /auth/login",
        b'{"email": "nobody@example.com", "password": "wrong"}',
        401,
        "invalid_credentials",
        "Неверный адрес электронной почты или пароль.",
    ),
    "too few credits": (
        "POST /tokens/purchase",
        b'{"duration_hours": 24}',
        402,
        "insufficient_balance",
        "Недостаточно средств. Требуется: 18.00 ZNC, доступно: 10.00 ZNC",
    ),
    "not an operator": (
        "GET /admin/users",
        b"",
        403,
        "permission_denied",
        "У вас недостаточно прав для выполнения данного действия.",
    ),
    "an unknown path": ("GET /nothing", b"", 404, "not_found", "По этому адресу ничего не найдено. Проверьте адрес."),
    "an unknown tariff": (f"GET /tariffs/{UNKNOWN}", b"", 404, "not_found", "Не найдено."),
    "an unknown token": (f"DELETE /tokens/{UNKNOWN}", b"", 404, "not_found", "Такого токена доступа нет."),
    "a method": ("PUT /tariffs", b"", 405, "method_not_allowed", 'Метод "PUT" не разрешен.'),
    "malformed JSON": (
        "POST /auth/login",
        b"{",
        400,
        "parse_error",
        "Тело запроса не является корректным JSON.",
    ),
    "a long body": (
        "POST /auth/login",
        b" " * (settings.API_MAX_BODY_BYTES + 1),
        413,
        "payload_too_large",
        "Тело запроса слишком большое. Допускается не более 1 МиБ.",
    ),
}


@in_use
class TestTheApi:
    """Errors in both languages: the sentence differs, status and code do not."""

    @pytest.mark.parametrize(("call", "body", "status", "code", "detail"), ERRORS.values(), ids=ERRORS)
    def test_an_error(
        self, alice: User, alice_api: APIClient, call: str, body: bytes, status: int, code: str, detail: str
    ) -> None:
        fund(alice, 10)
        method, path = call.split()

        def ask(client: APIClient) -> Any:
            return client.generic(method, f"/api/v1{path}", body, content_type="application/json")

        english, response = ask(alice_api), ask(russian(alice_api))
        assert (response.status_code, response.json()) == (status, {"detail": detail, "code": code})
        assert (english.status_code, english.json()["code"]) == (status, code)
        assert not CYRILLIC.search(english.json()["detail"])
        assert (english["Content-Language"], response["Content-Language"]) == ("en", "ru")
        assert "Accept-Language" in response["Vary"]

    @pytest.mark.parametrize(
        ("path", "body", "expected"),
        [
            ("/auth/login", {"password": "x"}, {"email": ["Обязательное поле."]}),
            (
                "/auth/login",
                {"email": "x", "password": 1},
                {"email": ["Введите правильный адрес электронной почты."], "password": ["Ожидается строка."]},
            ),
            (
                "/auth/login",
                [1],
                {"non_field_errors": ["Недопустимые данные. Ожидается объект JSON, получено: list."]},
            ),
            (
                "/currency/purchase",
                {"amount": "5"},
                {"amount": ["Ожидается число JSON, например 18 или 18.50."]},
            ),
            ("/currency/purchase", {"amount": 0}, {"amount": ["Число должно быть от 0.01 до 100000."]}),
            ("/tokens/purchase", {"duration_hours": "1"}, {"duration_hours": ["Требуется целое число."]}),
            ("/tokens/purchase", {"duration_hours": None}, {"duration_hours": ["Это поле не может быть null."]}),
            (
                "/tokens/purchase",
                {"duration_hours": 5},
                {"duration_hours": ["Для этого срока и этой области доступа нет тарифа."]},
            ),
        ],
    )
    def test_validation(self, alice_api: APIClient, path: str, body: Any, expected: dict[str, list[str]]) -> None:
        english = alice_api.post(f"/api/v1{path}", body)
        response = russian(alice_api).post(f"/api/v1{path}", body)
        assert (response.status_code, response.json()) == (400, expected)
        assert (english.status_code, english.json().keys()) == (400, expected.keys())
        assert not CYRILLIC.search(english.content.decode())

    def test_weak_passwords_and_taken_names(self, api: APIClient, alice: User) -> None:
        body = {"email": alice.email, "username": "ALICE", "password": "12345"}
        response = russian(api).post("/api/v1/auth/register", body)
        assert response.status_code == 400
        assert response.json().keys() == {"email", "username", "password"}
        for problems in response.json().values():
            assert all(CYRILLIC.search(problem) for problem in problems)

    def test_query_parameters(self, olga_api: APIClient) -> None:
        wrong = {"user_id": "x", "active_only": "perhaps"}
        response = russian(olga_api).get("/api/v1/admin/tokens", wrong)
        assert response.json() == {
            "user_id": ["Ожидается корректный UUID."],
            "active_only": ["Ожидается true или false."],
        }

    @pytest.mark.parametrize(
        ("credentials", "code", "detail"),
        [
            (None, "not_authenticated", "Учетные данные не были предоставлены."),
            (
                lambda _user: "Bearer",
                "bad_authorization_header",
                "Заголовок Authorization должен содержать два значения, разделённых пробелом",
            ),
            (
                lambda _user: "Bearer forged",
                "token_not_valid",
                "Токен недействителен, или срок его действия истёк",
            ),
            (lambda _user: f"Bearer {AccessToken()}", "token_not_valid", "В токене нет сведений о пользователе"),
            (
                lambda _user: f"Bearer {AccessToken.for_user(User(id=UNKNOWN))}",
                "user_not_found",
                "Пользователь не найден",
            ),
            (lambda user: f"Bearer {issue_access(user)}", "user_inactive", "Пользователь заблокирован"),
        ],
    )
    def test_credentials(
        self, api: APIClient, alice: User, credentials: Callable[[User], str] | None, code: str, detail: str
    ) -> None:
        User.objects.filter(pk=alice.pk).update(is_active=False)
        if credentials:
            api.credentials(HTTP_AUTHORIZATION=credentials(alice))
        english, response = api.get("/api/v1/users/me"), russian(api).get("/api/v1/users/me")
        assert (response.status_code, response.json()) == (401, {"detail": detail, "code": code})
        assert (english.status_code, english.json()["code"]) == (401, code)
        assert not CYRILLIC.search(english.json()["detail"])

    def test_too_many_requests(self, api: APIClient, db: None, settings: Any) -> None:
        settings.RATE_LIMIT_API = "1/minute"
        russian(api).get("/api/v1/tariffs")
        response = api.get("/api/v1/tariffs")
        assert (response.status_code, response.json()["code"]) == (429, "rate_limited")
        assert response.json()["detail"] == f"Слишком много запросов. Повторите через {response['Retry-After']} с."

    async def test_a_body_that_is_rejected_before_django(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def django(_scope: Any, receive: Any, _send: Any) -> None:
            await receive()

        monkeypatch.setattr(control_plane, "_django", django)
        headers = [(b"host", b"localhost"), (b"content-length", b"9" * 9), (b"accept-language", b"ru")]
        path = "/api/v1/auth/login"
        scope = {"type": "http", "http_version": "1.1", "method": "POST", "path": path, "headers": headers}
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        await control_plane.application(scope, None, send)
        body = '{"detail":"Тело запроса слишком большое.","code":"payload_too_large"}'.encode()
        assert (sent[0]["status"], sent[1]["body"]) == (413, body)
        assert (b"content-length", str(len(body)).encode()) in sent[0]["headers"]


@in_use
class TestTheGateway:
    @pytest.mark.parametrize("denial", DENIALS, ids=lambda denial: denial.code)
    def test_a_denial(self, denial: Denial) -> None:
        status, headers, body = denial_response(Denied(denial), b"ru")
        assert (status, (b"x-zenzefi-error", denial.code.encode()) in headers) == (denial.status, True)
        assert body.startswith(b'{"detail":"')
        assert body.endswith(f'","code":"{denial.code}"}}'.encode())
        assert CYRILLIC.search(body.decode())
        assert not CYRILLIC.search(denial_response(Denied(denial), b"")[2].decode())


@in_use
@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("en", "en"),
        ("ru", "ru"),
        ("RU-ru", "ru"),
        ("ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        ("en-US,en;q=0.9,ru;q=0.8", "en"),
        ("en;q=0.3, ru;q=0.7", "ru"),
        ("de", "en"),
        ("de, ru;q=0.5", "ru"),
        ("*", "en"),
        ("rus", "en"),
        ("\xff;q=x,,;;", "en"),
        ("ru;q=2", "en"),
        ("../../ru", "en"),
        ("z" * 5000, "en"),
    ],
)
def test_the_language_of_a_request(api: APIClient, db: None, accepted: str | None, language: str) -> None:
    """Check that the API and the gateway interpret `Accept-Language` in the same way."""
    given = {} if accepted is None else {"HTTP_ACCEPT_LANGUAGE": accepted}
    api_response = api.post("/api/v1/auth/login", {"email": "nobody@example.com", "password": "x"}, **given).json()
    denied = Denied(errors.INVALID_TOKEN)
    gateway_response = denial_response(denied, (accepted or "").encode("latin-1"))[2].decode()
    assert api_response["code"] == "invalid_credentials"
    assert '"code":"invalid_token"' in gateway_response
    assert bool(CYRILLIC.search(api_response["detail"])) == (language == "ru")
    assert bool(CYRILLIC.search(gateway_response)) == (language == "ru")


@in_use
class TestTheSite:
    def test_the_start_page(self, client: Client, db: None) -> None:
        english = client.get("/").content.decode()
        response = client.get("/", headers={"accept-language": "ru"}).content.decode()
        assert '<html lang="ru">' in response
        assert "Доступ ровно на то время, которое вам нужно" in response
        assert '<html lang="en">' in english
        assert "Access for exactly as long as you need it" in english

    def test_an_unknown_address(self, client: Client, db: None) -> None:
        response = client.get("/nothing", headers={"accept-language": "ru"})
        assert response.status_code == 404
        assert "По этому адресу ничего не найдено. Проверьте адрес." in response.content.decode()

    def test_the_admin(self, client: Client, olga: User) -> None:
        client.force_login(olga)
        page = client.get("/admin/", headers={"accept-language": "ru"}).content.decode()
        for word in ("Биллинг", "Токены доступа", "Прокси", "Люди", "События аудита", "Платежи"):
            assert word in page

    @pytest.mark.parametrize(
        ("count", "expected"),
        [
            (1, "Изменён 1 токен."),
            (2, "Изменены 2 токена."),
            (5, "Изменено 5 токенов."),
            (11, "Изменено 11 токенов."),
            (12, "Изменено 12 токенов."),
            (21, "Изменён 21 токен."),
            (22, "Изменены 22 токена."),
            (111, "Изменено 111 токенов."),
        ],
    )
    def test_plural_forms(self, count: int, expected: str) -> None:
        with override("ru"):
            text = ngettext("%(count)d token changed.", "%(count)d tokens changed.", count)
        assert text % {"count": count} == expected


@in_use
@pytest.mark.django_db(transaction=True)
def test_e_mails_about_operators_acts_are_in_the_users_language(
    alice: User, olga: User, mailoutbox: list[EmailMessage]
) -> None:
    alice.language = "ru"
    alice.save()

    services.turn_off_second_factor(alice, actor=olga)

    assert [(mail.to, mail.subject) for mail in mailoutbox] == [([alice.email], "Второй фактор выключен")]
