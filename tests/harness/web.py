"""A web server on loopback for documents by URL: pages that are good, slow, huge, or lead astray."""

import http.server
import threading


class Web:
    """pages: {path: answer}, an answer being (status, headers, body) or a function of the handler."""

    def __init__(self, pages):
        self.seen = []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                web.seen.append(self.path)
                answer = pages.get(self.path, (404, {}, b"no such page"))
                if callable(answer):
                    answer(self)
                    return
                status, headers, body = answer
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value.replace("PORT", str(web.port)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
