"""A real S3 server on loopback (moto's), and a line to it that can be cut."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import boto3
from moto.server import ThreadedMotoServer

from terralab.catalog.settings import StoreSettings

BUCKET = "lab-bucket"
ACCESS_KEY, SECRET_KEY = "AKIDtests", "S3CR3T-that-no-message-shows"


class S3Server:
    """A running server with one bucket."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
        )
        self.client.create_bucket(Bucket=BUCKET)

    def settings(self, prefix: str, port: int | None = None, cache_gb: float = 1) -> StoreSettings:
        """Return the settings of a store under a prefix of the bucket."""
        return StoreSettings(
            url=f"s3://{BUCKET}/{prefix}",
            s3_endpoint=f"http://127.0.0.1:{port or self.port}",
            s3_access_key=ACCESS_KEY,
            s3_secret_key=SECRET_KEY,
            cache_gb=cache_gb,
        )

    def keys(self, prefix: str) -> list[str]:
        """Return the keys under a prefix, without it."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
        return [entry["Key"].removeprefix(f"{prefix}/") for page in pages for entry in page.get("Contents", [])]

    def overwrite(self, key: str, content: bytes) -> None:
        """Change an object's bytes behind the store's back."""
        self.client.put_object(Bucket=BUCKET, Key=key, Body=content)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Run a server."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        yield S3Server(server.get_host_and_port()[1])
    finally:
        server.stop()


class Line:
    """A TCP line to a port, which breaks after so many bytes from the client.

    Attributes:
        port: where to call.
        breaks_after: bytes of one connection until it breaks; None for never.
    """

    def __init__(self, target: int, breaks_after: int | None = None) -> None:
        self.breaks_after = breaks_after
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(target=self._pump, args=(client, server, self.breaks_after), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client, None), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, limit: int | None) -> None:
        passed = 0
        with suppress(OSError):
            while piece := source.recv(65536):
                passed += len(piece)
                if limit is not None and passed > limit:
                    break
                sink.sendall(piece)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
