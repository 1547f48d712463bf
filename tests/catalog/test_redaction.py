import pytest
from hypothesis import given
from hypothesis import strategies as st

from terralab.catalog.redaction import REMOVED, Redaction

SENTINEL = "S3NT1NEL-v4lue"
TEXTS = [
    "Authorization: Bearer {}",
    "authorization: {}",
    "Authorization: Basic {}\r\nHost: x",
    "{{'authorization': 'Bearer {}', 'host': 'x'}}",
    "[(b'authorization', b'Bearer {}'), (b'host', b'x')]",
    "('X-API-Key', '{}')",
    "Cookie: session={}; a=b",
    "GET /files/1220ab/a.tif?token={}&x=1",
    "GET /files/1220ab/a.tif?expires=1&signature={}",
    "https://account.example/x?sv=1&sig={}",
    "https://bucket.example/x?X-Amz-Signature={}&X-Amz-Date=1",
    "https://bucket.example/x?X-Amz-Credential={}%2F20260101",
    "https://bucket.example/x?X-Amz-Security-Token={}",
    "AWSAccessKeyId={}",
    "postgresql://lab:{}@127.0.0.1:5432/lab",
    "postgresql://lab:p@ss/{}@127.0.0.1:5432/lab",
    "host=127.0.0.1 user=lab password={} dbname=lab",
    "password='with blanks {}' dbname=lab",
    "PGPASSWORD={} psql",
    '{{"password": "{}", "user": "lab"}}',
    '{{"client_secret":"{}"}}',
    "StoreSettings(s3_access_key='{0}', s3_secret_key='{0}')",
    "got bearer {} from the caller",
]


@pytest.mark.parametrize("text", TEXTS)
def test_secrets_are_removed_by_what_stands_before_them(text: str) -> None:
    cleaned = Redaction().clean(text.format(SENTINEL))
    assert SENTINEL not in cleaned
    assert REMOVED in cleaned


@pytest.mark.parametrize(
    "text", ["key tl_abcdefgh_" + "x" * 43 + " of anna", "a eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln b"]
)
def test_secrets_are_removed_by_how_they_look(text: str) -> None:
    first, *_, last = text.split()
    cleaned = Redaction().clean(text)
    assert "xxx" not in cleaned
    assert "eyJ" not in cleaned
    assert cleaned.split()[0] == first
    assert cleaned.split()[-1] == last


@pytest.mark.parametrize(
    "text",
    [
        "the token does not hold; the lab's own is in `secrets/token` of its home folder",
        "no collection is called 'flod'; did you mean flood?",
        "GET /stac/collections/{collection_id}/items 200",
        "Uvicorn running on http://127.0.0.1:8080 (Press CTRL+C to quit)",
        "design=3 signal=TERM",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert Redaction().clean(text) == text


@given(st.text(max_size=40), st.text(max_size=40), st.text("abc\"'/=&:@%$\\[]", min_size=6, max_size=20))
def test_a_known_secret_is_removed_wherever_it_stands(before: str, after: str, secret: str) -> None:
    assert secret not in Redaction([secret]).clean(f"{before}{secret}{after}").replace(REMOVED, "")


def test_a_short_secret_takes_no_words_with_it() -> None:
    assert Redaction(["lab", ""]).clean("the lab is ready") == "the lab is ready"
