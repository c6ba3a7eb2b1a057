"""What is written down nowhere: `Secret`, a string for trials alone, and `redacted`, which takes such strings out of a text.

Whoever makes a text of what went wrong (of an exception, of the end of a log) has it redacted there and then. So what is sent,
recorded and shown never held a secret, and nobody behind that has to think of it again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from json.encoder import encode_basestring_ascii
from typing import NoReturn, final
from urllib.parse import quote, quote_plus
from weakref import ref

from asynctune.errors import ConfigurationError

__all__ = ["REACH", "Secret", "packed", "received", "redacted"]

REACH = 8192
"""Whoever cuts a text has it redacted first, with this many more characters at the cut: half a secret is not known as one."""

_HIDDEN = "***"
_LEAST = 4
_LEAST_OF_A_LINE = 8
_CLOSERS, _OPENERS, _MARKS = ")]}>", "[{", "\\\"' "
_SAFE, _HEX = ("", "/", "/+", "=", "/=", "!#$%&'()*+,/:;=?@[]~"), re.compile(r"%[0-9A-F]{2}")
_SHOWN = re.compile(r"\*\*\*(?!\w)|Secret\(\*\*\*")
# Said of a key, these tell what went wrong, and nothing else.
_TELLING = frozenset({"none", "null", "true", "false"})

# A key is known by one of its words, and `token` by its last one alone: tokens, tokenizers and `token_ids` are no secrets. What
# ends like the name of an exception is one ("TokenError: ..."). Everything is of bounded length: a trial chooses the text.
_PAIR = re.compile(
    r"""
    (?: token(?![\w-]) | (?: passw(?:or)?d | secret | api[ _-]?key | authorization ) [\w.-]{0,40}+ )
    (?<!error) (?<!exception) (?<!warning) (?<!\.py)
    \\{0,4} ["']? \]? [ \t]{0,20}
    (?: : [ ]? (?: str | bytes | SecretStr | Any ) (?: [ ]\|[ ]None )? [ ] = (?!=) | [!:=]?=>? | : ) [ \t]{0,20}
    (?P<value>
        [bruf]{0,2} (?P<open> \"\"\" | \'\'\' | \\{0,4} ["'] ) (?: (?!(?P=open)) (?: \\[^\n] | [^\n\\] ) ){0,8192}+ (?P=open)?
      | [\w.]{1,60} \( [^\n)]{0,2000} \)?
      | \[ [^\n\]]{0,2000} \]? | \{ [^\n}]{0,2000} \}?
      | (?: (?:basic|bearer|digest|token) [ \t]{1,20} )? [^\s,;&"'] [^\s,;&"']*
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Of a header, all that stands on its line: schemes have parameters, and names of their own.
_HEADER = re.compile(r"authorization[ \t]{0,20}[:=][ \t]{0,20}(?P<value>[^\s\"'][^\n]{0,8192})", re.IGNORECASE)


@final
class Secret:
    """A string that trials are given and that is written down nowhere: a key, a token, a password.

    Hand it over in `data=`, as deep inside as you like, or around your function; the trial has the string from `reveal()`. As
    text it is `Secret(***)`. It cannot be pickled, and is no value of a parameter. Where its value turns up in what is recorded
    of a failure, by itself or in an address, in JSON or in a repr, `***` stands instead.

    Args:
        value: at least 4 characters, without counting what is blank at its ends: less than that is in every text.

    Raises:
        ConfigurationError: for anything else.
    """

    __slots__ = ("__weakref__", "_value")

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            raise ConfigurationError(f"Secret(...) takes a string, not {type(value).__name__}")
        if len(value.strip()) < _LEAST:
            raise ConfigurationError(f"Secret(...) takes a string of at least {_LEAST} characters: less is in every text")
        self._value = str(value)
        _known.add(ref(self, _known.discard))

    def reveal(self) -> str:
        """The string."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({_HIDDEN})"

    def __format__(self, _: str) -> str:
        return repr(self)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled, so that it is written down nowhere: pass on what reveal() returns")


#: Those that there are in this process. Not held: a service makes new ones for as long as it lives.
_known = set[ref[Secret]]()
#: Those that came with a search. Held until the process ends, whatever its trial does to `data`.
_received: list[Secret] = []


def packed(secret: Secret) -> tuple[Callable[[str], Secret], tuple[str]]:
    """How a secret leaves for a process that runs trials, as `__reduce__` would say it."""
    return received, (secret.reveal(),)


def received(value: str) -> Secret:
    """A secret, as it arrives there."""
    secret = Secret(value)
    _received.append(secret)
    return secret


# --------------------------------------------------------------------------------------------------------------- redaction


def redacted(text: str, start: int = 0, end: int | None = None) -> str:
    """`text` from `start` to `end`, with `***` for every secret that is known in this process, and for whatever is given to a
    key with one of the words token, password, passwd, secret, api_key and authorization, as in `key=value` or `"key": value`.

    What lies outside of `start` and `end` is only looked at, for what begins or ends there: up to `REACH` characters of it.
    """
    parts = list[str]()
    at, stop = start, len(text) if end is None else end
    for first, last in sorted([*_secrets_in(text), *_values_in(text)]):
        if last <= at or first >= stop:
            continue
        if first >= at or not parts:
            parts += [text[at:first], _HIDDEN]
        at = last
    parts.append(text[at:stop])
    return "".join(parts)


def _secrets_in(text: str) -> Iterator[tuple[int, int]]:
    living = [secret for each in list(_known) if (secret := each()) is not None]
    for form in {form for secret in living for form in _forms(secret.reveal())}:
        first = text.find(form)
        while first >= 0:
            yield first, first + len(form)
            first = text.find(form, first + len(form))


def _forms(value: str) -> Iterator[str]:
    """The ways in which a secret is written in texts. Of several lines each is one: in a group, every line is indented."""
    whole = value.strip()
    lines = [line.strip() for line in whole.splitlines()]
    for text in {whole, *(line for line in lines if len(line) >= _LEAST_OF_A_LINE)}:
        yield from (text, repr(text)[1:-1], ascii(text)[1:-1], repr(text.encode("utf-8", "surrogatepass"))[2:-1])
        yield from (text.replace("'", r"\'"), text.replace('"', r"\""))
        encoded = encode_basestring_ascii(text)[1:-1]
        yield from (encoded, encoded.replace("/", r"\/"))
        # What is left as it is differs from one client to another.
        for quoted in (
            *(quote(text, safe=safe, errors="surrogatepass") for safe in _SAFE),
            quote_plus(text, errors="surrogatepass"),
        ):
            yield from (quoted, _HEX.sub(lambda found: found[0].lower(), quoted))


def _values_in(text: str) -> Iterator[tuple[int, int]]:
    for header in _HEADER.finditer(text):
        yield header.span("value")
    for pair in _PAIR.finditer(text):
        first, last = pair.span("value")
        while last > first and text[last - 1] in _CLOSERS and pair["open"] is None and text[first] not in _OPENERS:
            last -= 1
        said = text[first:last]
        if said.strip(_MARKS) and said.lower() not in _TELLING and not _SHOWN.match(said):
            yield first, last
