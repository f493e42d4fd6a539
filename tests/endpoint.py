"""An embeddings endpoint in OpenAI's format on loopback, which counts words and can be told to
fail."""

import json
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from qdrant_rollouts.adapters.embedding_hashing import HashingEmbedder


class Endpoint:
    """Serves ``words-N``, vectors of N numbers. ``asked`` are the requests' headers and bodies;
    ``answers`` are given first, one each: status, headers, body (JSON, or text as it is). A request
    takes ``seconds``. ``most_at_once``: how many were under way at the same time. If it
    ``counts_tokens``, each word of a text is one."""

    def __init__(self, *, counts_tokens: bool = False) -> None:
        endpoint = self
        self.counts_tokens = counts_tokens
        self.seconds = 0.0
        self.most_at_once = 0
        self._under_way = 0
        self._guard = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                endpoint.answer(self)

            def log_message(self, *_: object) -> None:
                """Prints nothing."""

        self.asked: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.answers: deque[tuple[int, dict[str, str], Any]] = deque()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        with self._guard:
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        time.sleep(self.seconds)
        with self._guard:
            self._under_way -= 1
        self.asked.append((dict(request.headers), {"path": request.path, **body}))
        status, headers, content = (
            self.answers.popleft() if self.answers else (200, {}, self.embedded(body))
        )
        raw = (content if isinstance(content, str) else json.dumps(content)).encode()
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(raw))}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(raw)

    def embedded(self, body: dict[str, Any]) -> dict[str, Any]:
        """In any order: ``index`` says which text a vector belongs to."""
        vectors = HashingEmbedder(body["model"].partition("-")[2], None, "float32").documents(
            body["input"]
        )
        data = [{"index": at, "embedding": vector.tolist()} for at, vector in enumerate(vectors)]
        answer = {"object": "list", "model": body["model"], "data": data[::-1]}
        if self.counts_tokens:
            number = sum(len(text.split()) for text in body["input"])
            answer["usage"] = {"prompt_tokens": number, "total_tokens": number}
        return answer

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
