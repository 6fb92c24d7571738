"""What must not leave a machine in a bundle: secrets, host names, addresses, and the name of a user's home."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable

REMOVED = "(removed)"
# A value shorter than this is no secret, and removing it would remove half the text.
SHORTEST = 6

_PATTERNS = (
    # What tokens look like: Hub, OpenAI, GitHub, GitLab, NVIDIA, Slack, AWS, JSON web tokens, private keys.
    re.compile(
        r"\bhf_[A-Za-z0-9]{8,400}|\b(?:sk-|ghp_|gho_|ghs_|github_pat_|glpat-|nvapi-|xox[abpr]-)[A-Za-z0-9_-]{8,400}"
        r"|\bAKIA[0-9A-Z]{16}\b|\beyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{8,2000}(?:\.[A-Za-z0-9_-]{0,2000})?"
        r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]{0,8000}-----END [A-Z ]{0,30}PRIVATE KEY-----"
    ),
    re.compile(r"(?<=Bearer )(?!\(removed)[^\s'\",;\])}\\]{4,2000}|(?<=Basic )[A-Za-z0-9+/=]{6,2000}"),
)
# `OPENAI_API_KEY: abc`, `"api_key": "abc"`, `--api-key abc`, `password=abc`.
_NAMED = re.compile(
    r"((?:api[_-]?keys?|access[_-]?key|secret|passw(?:or)?d|credentials?|auth[_-]?token|_token|hf[_-]?token|token|_key)"
    r"(?:\\?[\"'])?(?:\s{0,3}[:=]\s{0,3}|\s{1,3})(?:\[\s?)?(?:\\?[\"'])?)([^\s'\",;\])}\\]{6,2000})",
    re.IGNORECASE,
)
_WORDS = {"false", "present", "environment"}
_USERINFO = re.compile(r"(?<=://)[^/\s@'\"]{1,400}@")
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){1,6}")
# A name of a host that stands by itself, by the end that such names have; `config.json` and `vllm.engine` have another.
_NAME = re.compile(
    r"(?<![\w./@:-])(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.){1,8}(?:com|net|org|edu|gov|mil|io|ai|dev|app|cloud|internal|local"
    r"|localdomain|lan|corp|intern|home|arpa|example|test|de|fr|uk|eu|ch|nl|us|cn|jp|kr|in|ca|au)(?![\w-]|\.\w)",
    re.IGNORECASE,
)
# Words and variables that take the name of a host: `--add-host=db:…`, `"MASTER_ADDR": "node7"`, a list of variables.
_HOST_OPTION = re.compile(r"(--(?:hostname|domainname|add-host|network-alias)(?:=|\s|\",?\s{0,20}\"))([^\s\":]{1,253})")
_HOST_VARIABLE = re.compile(
    r"(\"[A-Z0-9_]{0,60}(?:HOST|HOSTNAME|ADDR|ADDRESS|MASTER|PEER|NODES?)\"(?:\s{0,3}:|,\s{0,40}\"value\":)\s{0,3}\")"
    r"([^\"\\]{1,253})"
)
_HOME = re.compile(r"(?<![\w.-])(/home/|/Users/)[^/\s\"':,]{1,64}")
_URL_HOST = re.compile(r"(?<=://)(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)")
_MAC = re.compile(r"(?<![0-9A-Fa-f:])(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}(?![0-9A-Fa-f:])")
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?:%\w+)?(?![\w:.])")
# Addresses that every machine has, and public names that say nothing about this one.
_PUBLIC: tuple[str, ...] = (
    "huggingface.co",
    "github.com",
    "vllm.ai",
    "nvidia.com",
    "docker.io",
    "docker.com",
    "nvcr.io",
    "quay.io",
)
_PUBLIC += ("ghcr.io", "pytorch.org", "localhost", "127.0.0.1", "0.0.0.0", "python.org", "json-schema.org")  # noqa: S104


class Redactor:
    """Removes the same things from every text of a bundle."""

    def __init__(self, secrets: Iterable[str] = (), hosts: Iterable[str] = (), homes: Iterable[str] = ()) -> None:
        """Take values that are secret, names of this machine and of private hosts, and home folders."""
        values = {value for secret in secrets for value in (secret.strip(), json.dumps(secret.strip())[1:-1])}
        self._secrets = sorted((v for v in values if len(v) >= SHORTEST), key=len, reverse=True)
        names = sorted({name for name in hosts if name and not _is_public(name)}, key=len, reverse=True)
        self._hosts = re.compile("|".join(rf"(?<![\w.-]){re.escape(n)}(?![\w-])" for n in names)) if names else None
        self._homes = sorted({home.rstrip("/") for home in homes if len(home.rstrip("/")) > 1}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text without any of it."""
        for secret in self._secrets:
            text = text.replace(secret, REMOVED)
        for pattern in _PATTERNS:
            text = pattern.sub(REMOVED, text)
        text = _NAMED.sub(_unless_word, text)
        text = _USERINFO.sub("", text)
        text = _URL_HOST.sub(lambda found: found.group(0) if _is_public(found.group(0)) else "(host)", text)
        text = _EMAIL.sub("(email)", text)
        text = _HOST_OPTION.sub(r"\1(host)", text)
        text = _HOST_VARIABLE.sub(lambda m: m[0] if _is_public(m[2]) else f"{m[1]}(host)", text)
        text = _NAME.sub(lambda found: found.group(0) if _is_public(found.group(0)) else "(host)", text)
        text = _MAC.sub("(mac)", text)
        if self._hosts is not None:
            text = self._hosts.sub("(host)", text)
        text = _IPV4.sub(_address, text)
        text = _IPV6.sub(_address, text)
        for home in self._homes:
            text = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text)
        return _HOME.sub(r"\1(user)", text)


def _unless_word(found: re.Match[str]) -> str:
    return (
        found.group(0) if found.group(2).lower() in _WORDS or "(removed" in found.group(2) else found.group(1) + REMOVED
    )


def _is_public(name: str) -> bool:
    host = name.strip("[]").lower()
    return host.startswith("127.") or host == "::1" or any(host == p or host.endswith(f".{p}") for p in _PUBLIC)


def _address(found: re.Match[str]) -> str:
    text = found.group(0)
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text
    return text if address.is_loopback or address.is_unspecified else "(ip)"
