"""How every notebook begins: the lake that the environment names, and a folder for its pictures."""

from __future__ import annotations

import os
from pathlib import Path

from retail_spark.engine.settings_layers import resolve
from retail_spark.lake.lake import Lake
from retail_spark.spark.session import get_session


def open_lake() -> tuple[Lake, Path]:
    """The lake of RETAIL_SPARK__LAKE__ROOT (or the default), and its folder for pictures, which is made."""
    settings = resolve(environ=os.environ)
    lake = Lake.open(get_session(settings), settings.lake)
    pictures = Path(lake.root) / "_notebooks"
    pictures.mkdir(parents=True, exist_ok=True)
    return lake, pictures
