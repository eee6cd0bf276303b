"""pip's settings reach uv: mirrors, certificates, proxies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "deploy" / "uv_settings.py"


def told(shown: str) -> dict[str, str]:
    done = subprocess.run([sys.executable, SCRIPT], input=shown, capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


def test_mirrors_and_certificates_are_passed_on_and_the_environment_wins() -> None:
    shown = (
        ":env:.index-url='https://mirror.example/simple?a=b'\n"
        "global.cert='/etc/ca.pem'\n"
        "global.find-links='/wheels\\n/more wheels'\n"
        "global.index-url='https://other.example/simple'\n"
        "install.extra-index-url='https://one.example\\nhttps://two.example'\n"
        "install.trusted-host='mirror.example'\n"
        ":env:.disable-pip-version-check='1'\n"
    )
    assert told(shown) == {
        "UV_DEFAULT_INDEX": "https://mirror.example/simple?a=b",
        "SSL_CERT_FILE": "/etc/ca.pem",
        "UV_FIND_LINKS": "/wheels,/more,wheels",
        "UV_INDEX": "https://one.example https://two.example",
        "UV_INSECURE_HOST": "mirror.example",
    }


@pytest.mark.parametrize("shown", ["", "freeze.timeout='10'\n"])
def test_nothing_is_passed_on_where_pip_has_no_settings(shown: str) -> None:
    assert told(shown) == {}
