"""One site for all the scenarios of the handshake: a start costs most of a second."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.operate.demo.pki import Authority, rsa_key
from tests.support.site import Site, large_site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run the large site; the environment offers it a system root store, which it has to leave alone."""
    folder = tmp_path_factory.mktemp("site")
    cdn = Authority.root("CDN CA")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(folder / "system.pem"))
        patch.setenv("SSL_CERT_DIR", str(folder))
        with large_site(folder, rsa_key(), cdn.intermediate("CDN CA 2").intermediate("CDN issuing CA"), cdn) as running:
            yield running
