"""A reverse proxy in front of a deployment that passes ``/v1`` and nothing else, as text for nginx or Caddy.

vLLM asks for its key below ``/v1`` alone: ``/invocations`` generates without one and ``/metrics`` is open, so neither
may be reached from outside (https://docs.vllm.ai/en/stable/usage/security/).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from dsv4_launch.dataclass import dataclass

DOMAIN = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+")
# Address and port.
LISTEN = re.compile(r"(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:]+\]):(\d{1,5})")
# A request of a million tokens is a few megabytes of JSON; pictures are none of this model's.
BODY = "64m"
# An answer may take so long, and between two tokens of a stream a busy server may pause.
ANSWER_S = 3600


@dataclass(frozen=True, slots=True)
class Front:
    """What the proxy is told: the server behind it, and its own name, or address and port without TLS."""

    name: str
    upstream: str
    domain: str = ""
    listen: str = "127.0.0.1:8080"


def nginx(front: Front) -> str:
    """A file for ``/etc/nginx/conf.d``. nginx takes ``/v1/../metrics`` apart before it looks for a location."""
    tls = [f"listen 443 ssl;\n    server_name {front.domain};", *_certificate(front.domain)] if front.domain else []
    head = "\n    ".join(tls or [f"listen {front.listen};"])
    return f"""# dsv4: only /v1 of {front.name} is published; everything else is answered here, with 404.
# The server itself listens on {front.upstream}, which must not be reachable from outside.
server {{
    {head}

    client_max_body_size {BODY};

    location /v1/ {{
        proxy_pass http://{front.upstream};
        proxy_http_version 1.1;
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        # A stream is passed on token by token, and a client that hangs up frees its request.
        proxy_set_header Connection "";
        proxy_buffering off;
        proxy_cache off;
        proxy_read_timeout {ANSWER_S}s;
        proxy_send_timeout {ANSWER_S}s;
    }}

    location / {{
        return 404;
    }}
}}
"""


def _certificate(domain: str) -> list[str]:
    folder = f"/etc/letsencrypt/live/{domain}"
    return [f"ssl_certificate {folder}/fullchain.pem;", f"ssl_certificate_key {folder}/privkey.pem;"]


def caddy(front: Front) -> str:
    """A Caddyfile. With a domain Caddy gets the certificate by itself."""
    site = front.domain or f"http://{front.listen}"
    bind = "" if front.domain else f"\tbind {front.listen.rpartition(':')[0].strip('[]')}\n"
    return f"""# dsv4: only /v1 of {front.name} is published; everything else is answered here, with 404.
# The server itself listens on {front.upstream}, which must not be reachable from outside.
{site} {{
{bind}\t# Caddy's paths know no case, the expression does.
\t@v1 {{
\t\tpath /v1/*
\t\tpath_regexp ^/v1/
\t}}
\thandle @v1 {{
\t\trequest_body {{
\t\t\tmax_size {BODY}B
\t\t}}
\t\treverse_proxy {front.upstream} {{
\t\t\t# A stream is passed on token by token.
\t\t\tflush_interval -1
\t\t\ttransport http {{
\t\t\t\tresponse_header_timeout {ANSWER_S}s
\t\t\t}}
\t\t}}
\t}}
\thandle {{
\t\trespond 404
\t}}
}}
"""


KINDS: Mapping[str, Callable[[Front], str]] = {"nginx": nginx, "caddy": caddy}
