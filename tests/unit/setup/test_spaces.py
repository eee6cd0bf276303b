"""A package in a folder with a space starts Spark like any other."""

from __future__ import annotations

import pytest

from retail_spark.engine.settings_layers import resolve
from retail_spark.spark import session


def test_options_of_the_jvm_hold_no_space_of_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "__file__", "/a b/retail_spark/spark/session.py")
    options = session.local_conf(resolve(), fast_start=False)[session.JVM_OPTIONS].split(" ")
    assert options[0] == "-Dlog4j2.configurationFile=file:///a%20b/retail_spark/spark/log4j2.properties"
    assert all(option.startswith("-") for option in options)
