"""Signed addresses: they hold for one file and a short time, and nothing about them can be changed."""

import json
from multiprocessing import get_context
from pathlib import Path
from time import time
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terralab.catalog.access import signatures
from terralab.catalog.access.secret_files import SIGNING_KEY, kept_secret
from terralab.catalog.access.signatures import Signer
from terralab.catalog.errors import ServiceUnavailable
from terralab.catalog.rendering import rendered, served
from terralab.catalog.served_items import address_assets
from terralab.catalog.signed_files import sign_assets

CHECKSUM = "1220" + "ab" * 32


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer(tmp_path_factory.mktemp("home") / "secrets", 900)


def query(signer: Signer) -> dict[str, str]:
    return dict(parse_qsl(signer.query(CHECKSUM)))


def test_an_address_holds_between_half_and_all_of_its_time(signer: Signer) -> None:
    for _ in range(3):
        assert signer.verify(CHECKSUM, query(signer))
        assert 450 <= int(query(signer)["expires"]) - time() <= 900


@pytest.mark.parametrize("seconds", [1, 2, 3, 900])
@given(now=st.floats(1e9, 4e9))
def test_the_end_is_never_past_or_too_far(seconds: int, now: float) -> None:
    signer = Signer(Path("unused"), seconds)
    signer._key = b"key"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signatures, "time", lambda: now)
        expires = int(dict(parse_qsl(signer.query(CHECKSUM)))["expires"])
    assert 0 < expires - now <= max(seconds, 1)


def test_an_address_stops_to_hold(signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    signed = query(signer)
    monkeypatch.setattr(signatures, "time", lambda: float(signed["expires"]))
    assert not signer.verify(CHECKSUM, signed)


def test_it_is_the_address_of_one_file(signer: Signer) -> None:
    assert not signer.verify("1220" + "ac" * 32, query(signer))
    assert not signer.verify(CHECKSUM[:-1], query(signer))


@given(change=st.dictionaries(st.sampled_from(["expires", "signature"]), st.text(max_size=50), min_size=1))
def test_nothing_can_be_changed(signer: Signer, change: dict[str, str]) -> None:
    signed = query(signer)
    assert signer.verify(CHECKSUM, {**signed, **change}) == ({**signed, **change} == signed)


@pytest.mark.parametrize(
    "expires", ["9999999999", "+{}", "0{}", " {}", "{}.0", "{}_0", "-1", "1e12", "٣", "9" * 500, "inf", ""]
)
def test_a_time_is_written_in_one_way(signer: Signer, expires: str) -> None:
    signed = query(signer)
    assert not signer.verify(CHECKSUM, {**signed, "expires": expires.format(signed["expires"])})


def test_a_slash_does_not_move_between_the_parts(signer: Signer) -> None:
    assert not signer.verify(f"{CHECKSUM}/9999999999", {"expires": "1", "signature": signer.sign(CHECKSUM, 1)})


def test_other_labs_have_other_keys(signer: Signer, tmp_path: Path) -> None:
    other = Signer(tmp_path, 900)
    assert not signer.verify(CHECKSUM, query(other))
    assert (tmp_path / SIGNING_KEY).stat().st_mode & 0o777 == 0o600
    assert Signer(tmp_path, 900).verify(CHECKSUM, query(other))


def test_of_processes_that_make_a_key_at_once_one_wins(tmp_path: Path) -> None:
    with get_context("fork").Pool(8) as pool:
        found = pool.starmap(kept_secret, [(tmp_path / "secrets", SIGNING_KEY)] * 32)
    assert len(set(found)) == 1
    assert [path.name for path in (tmp_path / "secrets").iterdir()] == [SIGNING_KEY]


def test_a_home_that_cannot_be_written_is_no_bare_error(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("a file")
    with pytest.raises(ServiceUnavailable):
        Signer(tmp_path / "secrets", 900).query(CHECKSUM)


def test_only_addresses_that_the_lab_made_are_signed(signer: Signer) -> None:
    mine, other = CHECKSUM, "1220" + "cd" * 32
    item: dict[str, Any] = {
        "type": "Feature",
        "id": "a",
        "collection": "c",
        "geometry": None,
        "properties": {"datetime": "2020-01-01T00:00:00Z", "text": f"\x01/files/{other}/x"},
        "links": [{"rel": "x", "href": f"../files/{other}/x"}, {"rel": "y", "href": f"http://lab/files/{other}/x"}],
        "assets": {
            "image": {"href": f"asset://{mine}/a b.tif"},
            "elsewhere": {"href": f"http://lab/files/{other}/x"},
            "mark": {"href": f"\x01/files/{other}/x"},
            "relative": {"href": f"files/{other}/x"},
        },
    }
    body = rendered(item, None)
    signed = json.loads(served(signer.sign_body(body), "http://lab"))
    plain = json.loads(served(body, "http://lab"))
    address = signed["assets"]["image"].pop("href")
    assert address.startswith(plain["assets"]["image"].pop("href") + "?expires=")
    assert signer.verify(mine, dict(parse_qsl(urlsplit(address).query)))
    assert signed == plain
    assert signer.file_url(f"asset://{mine}/a b.tif", "http://lab") == address
    address_assets(item, "http://lab")
    sign_assets(item, "http://lab", signer)
    hrefs = {key: asset["href"] for key, asset in item["assets"].items()}
    assert hrefs.pop("image") == address
    assert hrefs == {key: asset["href"] for key, asset in plain["assets"].items() if key != "image"}
    assert json.loads(orjson.dumps(item)) == item
    assert signer.file_url("http://elsewhere/x", "http://lab") == "http://elsewhere/x"


def test_the_period_changes_with_the_addresses(signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    for second in range(0, 2000, 50):
        monkeypatch.setattr(signatures, "time", lambda second=second: 1.7e9 + second)
        seen.add((signer.period(), signer.query(CHECKSUM)))
    assert len(seen) == len({period for period, _ in seen}) == len({query for _, query in seen}) > 3
