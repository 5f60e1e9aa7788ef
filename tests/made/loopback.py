"""A server of this machine that stands in for the sites, and fails when told to."""

import hashlib
import json
import re
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


class Server:
    """Files by path, what to do wrong with each request, and the requests that came.

    `faults[path]` is a list, one entry a request: a status to answer with, `("cut", n)`
    to close after n bytes, `("hang", n)` to fall silent after n bytes until `released`,
    `("shift", n)` to answer a range that starts n too late, a dict of headers for a
    429, None to do it right. When the list is used up, all goes right. As a proxy it is
    given whole addresses, which then are the paths.
    """

    def __init__(self):
        self.files = {}
        self.faults = {}
        self.redirects = {}
        self.requests = []
        self.request_headers = []
        self.ranges = True
        self.headers = True
        self.released = threading.Event()
        handler = type("Handler", (Handler,), {"served": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(
            target=self.http.serve_forever, args=(0.01,), daemon=True
        )

    def url(self, path=""):
        return f"http://127.0.0.1:{self.http.server_port}{path}"

    def add_repository(self, name, files, commit, *, kind="model", names=(), lfs=()):
        """Speak as the hub of one repository: its listing, commits and files.

        `names` are revisions that mean the commit; of the files in `lfs` it tells the
        sha256.
        """
        listing = {
            "id": name,
            "sha": commit,
            "siblings": [
                {
                    "rfilename": path,
                    "size": len(body),
                    "blobId": "0" * 40,
                    **({"lfs": _lfs(body)} if path in lfs else {}),
                }
                for path, body in files.items()
            ],
        }
        api = f"/api/{kind}s/{name}"
        for revision in (commit, *names):
            self.files[f"{api}/revision/{revision}?blobs=true"] = _json(listing)
        history = {"authors": [], "date": "2024-01-01T00:00:00.000Z", "message": ""}
        entries = [{"id": sha, "title": "", **history} for sha in ("f" * 40, commit)]
        self.files[f"{api}/commits/main"] = _json(entries)
        prefix = "/datasets" if kind == "dataset" else ""
        for path, body in files.items():
            self.files[f"{prefix}/{name}/resolve/{commit}/{path}"] = body


def _json(value):
    return json.dumps(value).encode()


def _lfs(body):
    sha256 = hashlib.sha256(body).hexdigest()
    return {"sha256": sha256, "size": len(body), "pointerSize": 1}


class Handler(BaseHTTPRequestHandler):
    served: Server

    def log_message(self, *args):
        pass

    def do_GET(self):
        path = unquote(self.path)
        wanted = self.headers.get("Range")
        self.served.requests.append((path, wanted))
        self.served.request_headers.append(dict(self.headers))
        faults = self.served.faults.get(path, [])
        fault = faults.pop(0) if faults else None
        if isinstance(fault, dict):
            self.answer(429, b"busy", extra=fault)
            return
        if path in self.served.redirects:
            address = self.served.redirects[path]
            self.answer(302, b"", extra={"Location": address})
            return
        if isinstance(fault, int) or path not in self.served.files:
            self.answer(fault or 404, b"no")
            return
        kind, count = fault or (None, 0)
        body, status, extra = self.served.files[path], 200, {}
        if wanted and self.served.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            if start >= len(body):
                self.answer(416, b"")
                return
            if kind == "shift":
                start += count
            extra = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
            body, status = body[start:], 206
        sent = body[:count] if kind in ("cut", "hang") else body
        self.answer(status, sent, len(body), extra)
        if kind == "hang":
            self.served.released.wait(30)
            with suppress(OSError):  # the other side may have given up
                self.wfile.write(body[count:])

    def answer(self, status, body, length=None, extra=None):
        self.send_response(status)
        if self.served.headers:
            self.send_header("Content-Length", str(length or len(body)))
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        self.close_connection = True


@contextmanager
def serving():
    """A server that answers until the block ends."""
    served = Server()
    served.thread.start()
    try:
        yield served
    finally:
        served.released.set()
        served.http.shutdown()
        served.http.server_close()
        served.thread.join()
