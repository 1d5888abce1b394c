"""The examples of the connect page, taken from the page and run against a gateway."""

import html
import json
import re
import subprocess
import sys

import httpx
import pytest

from zenzefi.tests.support.command import Serve

pytestmark = pytest.mark.embedded


def log_in(client: httpx.Client, email: str, password: str) -> None:
    form = hidden(client.get("/accounts/login/").text)
    assert client.post("/accounts/login/", data={**form, "login": email, "password": password}).status_code == 302


def hidden(page: str) -> dict[str, str]:
    (token,) = set(re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page))
    return {"csrfmiddlewaretoken": token}


def examples(client: httpx.Client, password: str) -> dict[str, str]:
    form = hidden(client.get("/connect").text)
    page = client.post("/connect", data={**form, "password": password})
    return {
        name: html.unescape(code) for name, code in re.findall(r'id="example-(\w+)">(.*?)</code>', page.text, re.S)
    }


def run(*command: str, given: str = "") -> str:
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True, timeout=30).stdout


def test_each_of_them(serve: Serve) -> None:
    command = serve()
    said = command.wait_ready()
    logins = dict(re.findall(r"(\S+@\S+)  password (\S+)", said))
    password = logins["customer@example.com"]
    with httpx.Client(base_url=f"http://127.0.0.1:{command.port}") as client:
        log_in(client, "customer@example.com", password)
        found = examples(client, password)

    assert json.loads(run("bash", given=found["test"]))["status"] == "active"
    assert json.loads(run("bash", given=found["test"]))["connected"] is False  # no other device holds the token
    head, _blank, body = run("bash", given=found["curl"]).partition("\n\n")
    assert head.splitlines()[0].split()[1] == "200"
    assert "X-Zenzefi-Expires-At".lower() in head.lower()
    assert json.loads(body)[0]["serial"]
    assert run(sys.executable, "-", given=found["python"]) == f"200 {len(body.encode())}\n"
    assert json.loads(run("bash", given=found["test"]))["request_count"] == 2

    without_access = found["python"].replace(command.credentials["X-Access-Token"], "x" * 64)
    assert run(sys.executable, "-", given=without_access) == "401 13\n"  # the length of `invalid_token`
