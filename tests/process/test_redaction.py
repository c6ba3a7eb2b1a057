"""What is taken out of a text: the secrets that are known, and what is given to keys that tell."""

from __future__ import annotations

import gc
import json
from functools import partial
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from asynctune._engine.tail import tail_of
from asynctune._runner.failures import bounded, failure_of
from asynctune.secret import REACH, Secret, redacted

pytestmark = pytest.mark.fault(40)

VALUE = "s3 cr/ét\t'one'"
KEY = "-----BEGIN-----\n  A1B2C3D4\nxy\n-----END-----\n"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"<{VALUE}>", "<***>"),
        (f"{VALUE}{VALUE}", "******"),
        (f"{[VALUE]}", '["***"]'),
        (json.dumps({"x": VALUE}), '{"x": "***"}'),
        (f"GET /?q={quote_plus(VALUE)}&r=1", "GET /?q=***&r=1"),
        (KEY, "***\n"),
        (f"  | {KEY.splitlines()[1]}\n  | xy", "  |   ***\n  | xy"),
        ("nothing in it", "nothing in it"),
        ("", ""),
    ],
)
def test_known_secrets(text: str, left: str) -> None:
    known = [Secret(f"{VALUE}\n"), Secret(VALUE), Secret(KEY)]
    assert redacted(text) == left
    assert len(known) == 3


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("token=abc, x=1", "token=***, x=1"),
        ("connect(host='h', password='a b', timeout=3)", "connect(host='h', password=***, timeout=3)"),
        ("{'api_key': 'abc', 'n': 1}", "{'api_key': ***, 'n': 1}"),
        ('{"Client_Secret": "a\\"b", "n": 1}', '{"Client_Secret": ***, "n": 1}'),
        (r'"{\"passwd\": \"a b\", \"n\": 1}"', r'"{\"passwd\": ***, \"n\": 1}"'),
        ("Authorization: Bearer a.b-c\nHost: h", "Authorization: ***\nHost: h"),
        ("X-API-KEY: abc", "X-API-KEY: ***"),
        ("https://h/?access_token=a%20b&x=1", "https://h/?access_token=***&x=1"),
        ("AWS_SECRET_ACCESS_KEY=a/b+c==", "AWS_SECRET_ACCESS_KEY=***"),
        ('os.environ["API_KEY"] = "abc"', 'os.environ["API_KEY"] = ***'),
        ("login(password=f(x))", "login(password=***))"),
        # What tells what went wrong, and no secret.
        ("api_key=None, token: null", "api_key=None, token: null"),
        ("password=Secret(***) token=***", "password=Secret(***) token=***"),
        ("max_tokens=512, tokenizer=bert, token_ids=[1]", "max_tokens=512, tokenizer=bert, token_ids=[1]"),
        ("jwt.InvalidTokenError: Signature has expired", "jwt.InvalidTokenError: Signature has expired"),
        ("SecretNotFoundException: nothing there", "SecretNotFoundException: nothing there"),
        ("password:\nnext line", "password:\nnext line"),
        ("the token is expired", "the token is expired"),
    ],
)
def test_keys_that_tell(text: str, left: str) -> None:
    assert redacted(text) == left
    assert redacted(left) == left


@pytest.mark.parametrize(
    "text", ["tokentoken", 'password="', "password=", "secret:" + " " * 50, 'api_key"\\', "secret.-", "token=(("]
)
def test_a_text_that_was_made_to_take_long(text: str) -> None:
    assert len(redacted(text * (80_000 // len(text)))) <= 160_000


def test_a_secret_that_is_gone_is_forgotten() -> None:
    secret = Secret(VALUE)
    assert redacted(VALUE) == "***"
    del secret
    gc.collect()
    assert redacted(VALUE) == VALUE


def test_half_a_secret_is_never_shown() -> None:
    secret = Secret("0123456789")
    text = f"{'-' * 20}{secret.reveal()}{'-' * 20}"
    for cut in range(len(text) + 1):
        before, after = redacted(text, end=cut), redacted(text, start=cut)
        assert not set(before + after) & set(secret.reveal())
        assert len(before.replace("***", "")) + len(after.replace("***", "")) == 40


@pytest.mark.parametrize("around", range(14))
def test_neither_where_a_message_is_cut_nor_where_a_log_is(tmp_path: Path, around: int) -> None:
    secret = Secret("0123456789")
    whole, coloured = secret.reveal(), "01234\x1b[31m56789\x1b[0m"
    line, beside = "-" * (1_986 + around), "-" * (4_990 + around)
    for left_out in (0, REACH - 5, REACH):
        text = f"{beside}{whole}{'-' * left_out}{whole}{beside}"
        said = [each for each in bounded(partial(str, text)).splitlines() if not each.startswith("... ")]
        assert len(said) == (2 if len(text) > 10_000 else 1)
        assert not set("".join(said)) & set(whole)
    for text in (f"{whole}{line}", f"{'-' * REACH}{coloured}{line}", f"{'é' * REACH}{whole}{line}"):
        (tmp_path / "log").write_text(text)
        tail = tail_of(tmp_path / "log")
        assert not set(tail) & set(whole), tail
        assert line in tail


def test_every_text_of_a_failure_is_redacted() -> None:
    secret = Secret(VALUE)
    named = type(f"No{secret.reveal()}", (ValueError,), {})
    failure = failure_of(named(VALUE), None)
    assert (failure.message, failure.error_type) == ("No***: ***", "tests.process.test_redaction.No***")
    assert VALUE not in repr(failure)
    failure = failure_of(SystemExit(f"no {VALUE}"), None)
    assert failure.message.endswith(": no ***")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f'token="{"a" * 5000}" and more', "token=*** and more"),
        ("password='no end", "password=***"),
        ("password='it\\'s hunter2' next", "password=*** next"),
        ("Authorization: ApiKey hunter2", "Authorization: ***"),
        ('Authorization: Digest username="Mufasa", response="hunter2"\nnext', "Authorization: ***\nnext"),
        ('password="""hunter2"""', "password=***"),
        ('password: str = "hunter2"', "password: str = ***"),
        ("passwords=['hunter2', 'hunter3']", "passwords=***"),
        ('"password": {"value": "hunter2"}', '"password": ***'),
        ("password=***real", "password=***"),
        # What tells nothing stays.
        ("src/password.py:12: DeprecationWarning", "src/password.py:12: DeprecationWarning"),
        ("password=''", "password=''"),
        ("password=*** and password=Secret(***)", "password=*** and password=Secret(***)"),
    ],
)
def test_however_it_is_given_to_a_key(text: str, shown: str) -> None:
    assert redacted(text) == shown


@pytest.mark.parametrize("call", ["SecretStr('hunter2')", "b'hunter2'", "Token(value='hunter2')"])
def test_what_is_made_where_it_is_given_to_a_key(call: str) -> None:
    assert "hunter2" not in redacted(f"api_key={call}, and more")


def test_a_secret_is_known_in_the_spellings_of_others() -> None:
    secret, quoted = Secret("ab/cd+ef=="), Secret("don't-tell")
    for text in ("?k=ab/cd%2Bef==", "?k=ab%2fcd%2bef%3d%3d", r"ab\/cd+ef=="):
        assert "cd" not in redacted(text), text
    assert "tell" not in redacted(repr("x\"don't-tell"))
    assert repr(secret) == repr(quoted) == "Secret(***)"
