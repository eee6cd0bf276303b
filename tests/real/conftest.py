from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conftest import DATA_ROOT
from tests.real.cuts import cut_folder, folder_of
from tests.real.shops import Shop

ShopOf = Callable[[str], Shop]


@pytest.fixture(scope="session")
def cut_shop(tmp_path_factory: pytest.TempPathFactory) -> ShopOf:
    """Opens a lake for a cut of a source. Fails clearly where the real data are not there."""
    shops: dict[str, Shop] = {}

    def open_shop(source: str) -> Shop:
        if source not in shops:
            whole = DATA_ROOT / folder_of(source)
            assert whole.is_dir(), f"{whole} is not there: set RETAIL_SPARK__DATA_ROOT to the folder of real data"
            home = tmp_path_factory.mktemp(source)
            shops[source] = Shop(source, cut_folder(source, DATA_ROOT, home / "data"), home / "lake")
        return shops[source]

    return open_shop
