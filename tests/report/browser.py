"""A real browser without a window, and somebody who hears whatever it asks the network for."""
import http.server
import json
import re
import shutil
import subprocess
import tempfile
import threading
from html import unescape
from pathlib import Path
from typing import Any, Dict, List

import pytest

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason='needs chromium, which is not installed here')


_MAKERS = re.compile(r'google|gvt1')


class Listener:
    """A proxy that answers nothing but keeps what it is asked for, less what the browser asks its maker of itself."""

    def __init__(self) -> None:
        self.asked: List[str] = []
        asked = self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if not _MAKERS.search(self.path):
                    asked.append(self.path)
                self.send_error(404)

            do_CONNECT = do_POST = do_GET

            def log_message(self, *args: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.address = f'127.0.0.1:{self.server.server_port}'

    def __enter__(self) -> 'Listener':
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *args: Any) -> None:
        self.server.shutdown()
        self.server.server_close()


def browse(page: Path, *options: str, proxy: str = '127.0.0.1:9') -> str:
    """What the browser prints for the options, such as --dump-dom; it reaches no network."""
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run([
            str(CHROMIUM), '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
            '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-extensions',
            f'--proxy-server={proxy}', '--proxy-bypass-list=<-loopback>', f'--user-data-dir={profile}',
            '--virtual-time-budget=5000', *options, page.resolve().as_uri()],
            capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


# What a reader's browser makes of the page. The frame around it is as wide as a telephone, which windows may not be.
_MEASURE = '''<script>
const refused = [];
document.addEventListener('securitypolicyviolation', event => refused.push(event.blockedURI));
addEventListener('load', () => setTimeout(() => parent.postMessage(JSON.stringify({
  images: [...document.images].map(image => image.naturalWidth),
  headings: [...document.querySelectorAll('h1, h2, h3')].map(heading => heading.innerText),
  width: innerWidth, scroll: document.documentElement.scrollWidth, refused: refused,
  fonts: [...document.querySelectorAll('td.number')].map(cell => getComputedStyle(cell).textAlign),
  background: getComputedStyle(document.body).backgroundColor,
  loaded: performance.getEntriesByType('resource').map(entry => entry.name).filter(name => !name.startsWith('data:')),
}), '*'), 100));
</script>'''


def measure(html: str, folder: Path, width: int, *options: str, proxy: str = '127.0.0.1:9') -> Dict[str, Any]:
    """Open a copy of a page, into which one script of the test's is let, in a frame of so many pixels."""
    assert html.count("default-src 'none';") == 1
    inner = html.replace("default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';")
    (folder / 'inner.html').write_text(inner.replace('<title>', f'{_MEASURE}<title>', 1), encoding='utf-8')
    outer = folder / 'outer.html'
    outer.write_text(
        '<!DOCTYPE html><meta charset="utf-8"><style>body { margin: 0 }</style><script>'
        'addEventListener("message", event => { document.getElementById("found").textContent = event.data; });'
        '</script><pre id="found"></pre>'
        f'<iframe src="inner.html" width="{width}" height="900" style="border: 0"></iframe>', encoding='utf-8')
    dom = browse(outer, '--dump-dom', *options, proxy=proxy)
    found = re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)
    assert found is not None and found[1], dom[:2000]
    return json.loads(unescape(found[1]))
