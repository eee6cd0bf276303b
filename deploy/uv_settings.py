"""Prints the settings of pip as environment variables of uv: `pip config list | python deploy/uv_settings.py`.

Mirrors, certificates and proxies are set once, for pip; its environment variables win over its files, as with pip.
"""

from __future__ import annotations

import ast
import sys

NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "HTTPS_PROXY",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
}
PLACES = ("global", "install", "env")
"""The later wins. pip shows the environment as `:env:`."""


def main() -> None:
    """Reads lines such as `global.index-url='...'` from stdin."""
    found: dict[str, tuple[int, str]] = {}
    for line in sys.stdin:
        key, _, shown = line.partition("=")
        place, _, name = key.strip().rpartition(".")
        if name not in NAMES or place.strip(":") not in PLACES:
            continue
        words = str(ast.literal_eval(shown.strip())).split()
        value = ("," if name == "find-links" else " ").join(words)
        rank = PLACES.index(place.strip(":"))
        if rank >= found.get(NAMES[name], (-1, ""))[0]:
            found[NAMES[name]] = (rank, value)
    for variable, (_, value) in found.items():
        sys.stdout.write(f"{variable}={value}\n")


if __name__ == "__main__":
    main()
