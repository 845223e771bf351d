"""Where consoles and pages are."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from utcloud.common.settings import Settings


@pytest.mark.parametrize(
    ("given", "page"),
    [
        ({}, "http://x.apps.localhost:8080"),
        ({"domain": "cloud.example.org"}, "https://x.apps.cloud.example.org"),
        ({"domain": "Cloud.Example.org."}, "https://x.apps.cloud.example.org"),
        ({"domain": "cloud.example.org", "apps_domain": "Example-Apps.net"}, "https://x.example-apps.net"),
        ({"domain": "cloud.example.org", "apps_domain": ""}, "https://x.apps.cloud.example.org"),
    ],
)
def test_where_a_page_is(tmp_path: Path, given: dict[str, str], page: str) -> None:
    settings = Settings(home=tmp_path, **given)  # type: ignore[arg-type]
    assert settings.replica_origin("x") == page


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"apps_domain": "example-apps.net"}, "UTCLOUD_DOMAIN"),
        ({"domain": "cloud.example.org", "apps_domain": "cloud.example.org"}, "neither it nor below it"),
        ({"domain": "cloud.example.org", "apps_domain": "example.org"}, "neither it nor below it"),
        ({"domain": "cloud.example.org", "apps_domain": "org"}, "neither it nor below it"),
        ({"domain": "cloud.example.org", "apps_domain": "https://example-apps.net"}, "a host name alone"),
        ({"domain": "cloud.example.org:8443"}, "a host name alone"),
        ({"domain": "*.example.org"}, "a host name alone"),
        ({"domain": "{env.HOME}"}, "a host name alone"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, given: dict[str, str], said: str) -> None:
    """A page below the consoles' own name, or the other way round, would be served as the other."""
    with pytest.raises(ValidationError, match=said):
        Settings(home=tmp_path, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("domain", "apps", "shared"),
    [
        ("", "", ""),
        ("cloud.example.org", "", "cloud.example.org"),
        ("cloud.example.org", "pages.example.org", "example.org"),
        ("example.org", "apps.example.org", "example.org"),
        ("cloud.example.org", "example-apps.org", ""),
        ("cloud.example.org", "cloud.example.net", ""),
        ("myexample.org", "example.org", ""),
    ],
)
def test_what_browsers_take_for_one_site(tmp_path: Path, domain: str, apps: str, shared: str) -> None:
    assert Settings(home=tmp_path, domain=domain, apps_domain=apps).shared_site == shared
