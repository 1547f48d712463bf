"""Prefect's REST API as the command line needs it, without importing Prefect (two seconds).

The lab's server wants a token against requests that other web pages forge (CSRF); it is fetched with the first one.
"""

import time
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx

from terralab.catalog.errors import InvalidInput, ServiceUnavailable, UnknownName

_WRONG_PARAMETERS = (409, 422)
_MISSING = 404
_BUSY = (429, 503)
_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 4.0)


class PrefectClient:
    """A client of the lab's Prefect server.

    Args:
        api_url: the server's API, such as `http://127.0.0.1:4200/api`.
        timeout: seconds to wait for an answer.
    """

    def __init__(self, api_url: str, timeout: float = 30.0) -> None:
        self._api_url = api_url
        self._http = httpx.Client(base_url=api_url, timeout=timeout)
        self._client_id = str(uuid4())
        self._token: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def start_run(self, deployment: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Start a run of `flow/deployment` and return Prefect's record of it.

        Raises:
            UnknownName: there is no such deployment.
            InvalidInput: the parameters do not fit the flow's.
            ServiceUnavailable: the server does not answer.
        """
        found = self.ask("GET", f"/deployments/name/{deployment}")
        if found.status_code == _MISSING:
            raise UnknownName(f"the lab has no flow {deployment!r}; see `terralab logs worker`")
        # The key makes it safe to ask again: the server gives the run that it made for the key.
        order = {"parameters": parameters, "idempotency_key": str(uuid4())}
        answer = self.ask("POST", f"/deployments/{_json(found)['id']}/create_flow_run", order)
        if answer.status_code in _WRONG_PARAMETERS:
            raise InvalidInput(f"{deployment.split('/')[0]}: {_first_detail(answer)}")
        return dict(_json(answer))

    def flow_run(self, run: str) -> dict[str, Any]:
        """Return a flow run."""
        return dict(_json(self.ask("GET", f"/flow_runs/{run}")))

    def flow_runs(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the flow runs that a query of Prefect's API finds."""
        return list(_json(self.ask("POST", "/flow_runs/filter", query)))

    def cancel(self, run: str) -> None:
        """Ask for a flow run to be stopped."""
        state = {"type": "CANCELLING", "name": "Cancelling", "message": "stopped by the user"}
        _json(self.ask("POST", f"/flow_runs/{run}/set_state", {"state": state}))

    def artifacts(self, run: str) -> list[dict[str, Any]]:
        """Return the artifacts of a flow run, oldest first."""
        query = {"artifacts": {"flow_run_id": {"any_": [run]}}, "sort": "UPDATED_DESC", "limit": 200}
        return sorted(
            _json(self.ask("POST", "/artifacts/filter", query)), key=lambda artifact: str(artifact["created"])
        )

    def logs(self, run: str, skip: int) -> list[dict[str, Any]]:
        """Return the log records of a flow run after the first `skip`, oldest first."""
        query = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC", "offset": skip, "limit": 200}
        return list(_json(self.ask("POST", "/logs/filter", query)))

    def workers(self, work_pool: str) -> list[dict[str, Any]]:
        """Return the workers of a work pool; none where there is no such pool."""
        answer = self.ask("POST", f"/work_pools/{work_pool}/workers/filter", {})
        return [] if answer.status_code == _MISSING else list(_json(answer))

    def deployments(self) -> list[dict[str, Any]]:
        """Return all deployments."""
        return list(_json(self.ask("POST", "/deployments/filter", {})))

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """Return the answer to a request; ask again a few times where the server's SQLite is locked for a moment."""
        try:
            if method != "GET" and not self._token:
                self._token = self._new_token()
            for pause in _PAUSES_S:
                answer = self._http.request(method, path, json=body, headers=self._token)
                if answer.status_code not in _BUSY:
                    break
                time.sleep(pause)
            return answer
        except httpx.TransportError as error:
            raise ServiceUnavailable(
                f"no lab answers at {self._api_url}; start one with `terralab up`, or see `terralab status`"
            ) from error

    def _new_token(self) -> dict[str, str]:
        answer = self._http.get("/csrf-token", params={"client": self._client_id})
        # A server without that protection answers 422.
        token = answer.json()["token"] if answer.is_success else ""
        return {"Prefect-Csrf-Client": self._client_id, "Prefect-Csrf-Token": token}


def _json(answer: httpx.Response) -> Any:
    if not answer.is_success:
        raise ServiceUnavailable(
            f"Prefect answered {answer.status_code} to {answer.request.url.path}: {_first_detail(answer)}"
        )
    return answer.json()


def _first_detail(answer: httpx.Response) -> str:
    """Return what the server says is wrong, in one line."""
    try:
        body = answer.json()
    except ValueError:
        return answer.text[:200]
    detail = body.get("detail") or body.get("exception_detail") or body
    if isinstance(detail, list):
        first = detail[0]
        return f"{'.'.join(str(part) for part in first.get('loc', []))}: {first.get('msg', first)}"
    return " ".join(str(detail).split())[:400]
