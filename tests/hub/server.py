"""A small Hugging Face Hub on 127.0.0.1, for the unmodified `huggingface_hub` and `timm` clients.

It keeps what is pushed in a folder, and speaks the endpoints that a push and a pull of models use. By hand:

    python -m tests.hub.server --root DIR          # prints the three variables to export
    hf download org/name
"""
import argparse
import base64
import hashlib
import json
import re
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from .faults import Faults
from .storage import Commit, Refusal, Repo, Storage, git_hash, in_lfs

__all__ = ['TOKENS', 'Hub']

TOKENS = {'hf_write': 'write', 'hf_read': 'read'}  # the rights of each known token


class Request(NamedTuple):
    """What the log keeps of a request."""
    method: str
    path: str
    range: Optional[str]


class Reply(NamedTuple):
    body: bytes
    headers: Dict[str, str] = {}
    status: int = 200


def as_json(value: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(json.dumps(value).encode(), {'Content-Type': 'application/json', **headers}, status)


_REPO, _REVISION = r'(?P<repo>[^/]+/[^/]+)', r'(?P<revision>[^/]+)'
ROUTES: List[Tuple[str, str, str]] = [
    ('GET', '/api/whoami-v2', 'whoami'),
    ('POST', '/api/validate-yaml', 'validate_yaml'),
    ('POST', '/api/repos/create', 'create'),
    ('GET', f'/api/models/{_REPO}', 'info'),
    ('GET', f'/api/models/{_REPO}/revision/{_REVISION}', 'info'),
    ('GET', f'/api/models/{_REPO}/refs', 'refs'),
    ('GET', f'/api/models/{_REPO}/commits/{_REVISION}', 'commits'),
    ('GET', f'/api/models/{_REPO}/tree/{_REVISION}', 'tree'),
    ('POST', f'/api/models/{_REPO}/paths-info/{_REVISION}', 'paths_info'),
    ('POST', f'/api/models/{_REPO}/preupload/{_REVISION}', 'preupload'),
    ('POST', f'/api/models/{_REPO}/commit/{_REVISION}', 'commit'),
    ('POST', f'/api/models/{_REPO}/tag/{_REVISION}', 'create_tag'),
    ('DELETE', f'/api/models/{_REPO}/tag/(?P<tag>[^/]+)', 'delete_tag'),
    ('PUT', f'/api/models/{_REPO}/settings', 'settings'),
    ('POST', f'/{_REPO}\\.git/info/lfs/objects/batch', 'lfs_batch'),
    ('PUT', f'/{_REPO}/lfs/(?P<oid>[0-9a-f]{{64}})', 'lfs_upload'),
    ('POST', f'/{_REPO}/lfs/verify', 'lfs_verify'),
    ('HEAD', f'/{_REPO}/resolve/{_REVISION}/(?P<path>.+)', 'resolve'),
    ('GET', f'/{_REPO}/resolve/{_REVISION}/(?P<path>.+)', 'resolve'),
]


class Handler(BaseHTTPRequestHandler):
    """One connection. Each route's method gets the address's parts and gives a `Reply`."""
    protocol_version = 'HTTP/1.1'
    hub: 'Hub'

    def log_message(self, format: str, *args: Any) -> None:
        if self.hub.verbose:
            super().log_message(format, *args)

    def handle_any(self) -> None:
        self.payload = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        if self.headers.get('Transfer-Encoding') == 'chunked':
            self.payload = b''.join(self.chunks())
        url = urlsplit(self.path)
        self.query = parse_qs(url.query)
        self.hub.requests.append(Request(self.command, url.path, self.headers.get('Range')))
        fault = self.hub.faults.take(self.command, url.path)
        if fault and fault.drop == 'before':
            return self.hang_up()
        if fault and fault.status:
            return self.answer(as_json({'error': 'a fault'}, fault.status, **fault.headers))
        if fault and fault.meanwhile:
            fault.meanwhile()
        reply = self.carry_out(url.path)
        if fault and fault.drop == 'after':
            return self.hang_up()
        if fault and fault.flip is not None:
            body = bytearray(reply.body)
            body[fault.flip] ^= 0xff
            reply = reply._replace(body=bytes(body))
        self.answer(reply, cut=fault.cut if fault else None)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

    def chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def answer(self, reply: Reply, cut: Optional[int] = None) -> None:
        self.send_response(reply.status)
        for name, value in {'Content-Length': str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(reply.body[:cut])
            if cut is not None and cut < len(reply.body):
                self.wfile.flush()
                self.hang_up()

    def carry_out(self, path: str) -> Reply:
        try:
            with self.hub.storage.lock:
                for method, pattern, name in ROUTES:
                    match = re.fullmatch(pattern, path)
                    if match and method == self.command:
                        route: Callable[..., Reply] = getattr(self, name)
                        return route(**{key: unquote(value) for key, value in match.groupdict().items()})
            raise Refusal(404, f'The test Hub does not speak {self.command} {path}')
        except Refusal as refusal:
            headers = {'X-Error-Message': refusal.message}
            if refusal.code:
                headers['X-Error-Code'] = refusal.code
            return as_json({'error': refusal.message}, refusal.status, **headers)

    def json(self) -> Any:
        return json.loads(self.payload)

    # rights

    def role(self) -> Optional[str]:
        """'read', 'write' or None without a token."""
        token = self.headers.get('Authorization', '').removeprefix('Bearer ')
        if token and token not in self.hub.tokens:
            raise Refusal(401, 'Invalid credentials in Authorization header')
        return self.hub.tokens.get(token)

    def readable(self, repo_id: str) -> Repo:
        role = self.role()
        repo = self.hub.storage.repos.get(repo_id)
        if repo is None or (repo.private and role is None):
            raise Refusal(404 if role else 401, 'Repository not found', 'RepoNotFound')
        return repo

    def writable(self, repo_id: str) -> Repo:
        self.must_write()
        return self.readable(repo_id)

    def must_write(self) -> None:
        role = self.role()
        if role is None:
            raise Refusal(401, 'Invalid username or password.')
        if role != 'write':
            raise Refusal(403, 'You must have write rights to this repository')

    # the account and the repositories

    def whoami(self) -> Reply:
        role = self.role()
        if role is None:
            raise Refusal(401, 'Invalid username or password.')
        return as_json({'type': 'user', 'name': 'org', 'orgs': [], 'auth': {'accessToken': {'role': role}}})

    def validate_yaml(self) -> Reply:
        match = re.match(r'---\n(.*?)\n---\n', self.json()['content'], re.DOTALL)
        if match is None:
            return as_json({'errors': [], 'warnings': [{'message': 'empty or missing yaml metadata in repo card'}]})
        try:
            yaml.safe_load(match.group(1))
        except yaml.YAMLError as error:
            return as_json({'errors': [{'message': f'YAML: {error}'}], 'warnings': []}, 400)
        return as_json({'errors': [], 'warnings': []})

    def create(self) -> Reply:
        self.must_write()
        values = self.json()
        repo_id = f'{values["organization"]}/{values["name"]}'
        url = f'{self.hub.url}/{repo_id}'
        try:
            private = values.get('visibility') == 'private' or bool(values.get('private'))  # the latter: older clients
            self.hub.storage.create(repo_id, private=private)
        except Refusal as refusal:
            return as_json({'error': refusal.message, 'url': url}, refusal.status)
        return as_json({'url': url})

    def settings(self, repo: str) -> Reply:
        found, values = self.writable(repo), self.json()
        found.private = values.get('visibility', 'private' if found.private else 'public') == 'private'
        found.gated = bool(values.get('gated', found.gated))
        self.hub.storage.save()
        return as_json({})

    def info(self, repo: str, revision: str = 'main') -> Reply:
        found = self.readable(repo)
        commit = self.hub.storage.resolve(repo, revision)
        siblings: List[Dict[str, Any]] = []
        for path, entry in commit.files.items():
            siblings.append({'rfilename': path})
            if 'blobs' in self.query:
                siblings[-1].update(self.file_info(path, entry))
        return as_json({
            'id': repo, 'modelId': repo, 'sha': commit.oid, 'private': found.private,
            'gated': 'manual' if found.gated else False, 'siblings': siblings, 'tags': []})

    @staticmethod
    def file_info(path: str, entry: Dict[str, Any]) -> Dict[str, Any]:
        if not entry['lfs']:
            return {'size': entry['size'], 'blobId': entry['oid']}
        pointer = f'version https://git-lfs.github.com/spec/v1\noid sha256:{entry["oid"]}\nsize {entry["size"]}\n'
        lfs = {'sha256': entry['oid'], 'size': entry['size'], 'pointerSize': len(pointer)}
        return {'size': entry['size'], 'blobId': git_hash(pointer.encode()), 'lfs': lfs}

    def tree(self, repo: str, revision: str) -> Reply:
        self.readable(repo)
        return as_json(self.tree_entries(self.hub.storage.resolve(repo, revision)))

    def tree_entries(self, commit: Commit) -> List[Dict[str, Any]]:
        entries = []
        for path, entry in commit.files.items():
            info = self.file_info(path, entry)
            if 'lfs' in info:
                info['lfs']['oid'] = info['lfs'].pop('sha256')
            entries.append({'type': 'file', 'path': path, 'oid': info.pop('blobId'), **info})
        return entries

    def paths_info(self, repo: str, revision: str) -> Reply:
        self.readable(repo)
        paths = parse_qs(self.payload.decode())['paths']
        return as_json([e for e in self.tree_entries(self.hub.storage.resolve(repo, revision)) if e['path'] in paths])

    def commits(self, repo: str, revision: str) -> Reply:
        found = self.readable(repo)
        last = found.commits.index(self.hub.storage.resolve(repo, revision))
        return as_json([
            {'id': commit.oid, 'title': commit.message, 'message': '', 'date': '2024-01-01T00:00:00Z', 'authors': []}
            for commit in reversed(found.commits[:last + 1])])

    # tags

    def refs(self, repo: str) -> Reply:
        found = self.readable(repo)
        tags = [{'name': k, 'ref': f'refs/tags/{k}', 'targetCommit': v} for k, v in found.tags.items()]
        head = {'name': 'main', 'ref': 'refs/heads/main', 'targetCommit': found.commits[-1].oid}
        return as_json({'branches': [head], 'converts': [], 'tags': tags})

    def create_tag(self, repo: str, revision: str) -> Reply:
        found, tag = self.writable(repo), self.json()['tag']
        if tag in found.tags:
            raise Refusal(409, 'Tag reference exists already')
        found.tags[tag] = self.hub.storage.resolve(repo, revision).oid
        self.hub.storage.save()
        return as_json({})

    def delete_tag(self, repo: str, tag: str) -> Reply:
        if self.writable(repo).tags.pop(tag, None) is None:
            raise Refusal(404, f'Tag {tag} not found', 'RevisionNotFound')
        self.hub.storage.save()
        return as_json({})

    # a push

    def preupload(self, repo: str, revision: str) -> Reply:
        self.writable(repo)
        present = self.hub.storage.resolve(repo, revision).files
        return as_json({'files': [
            {'path': file['path'], 'uploadMode': 'lfs' if in_lfs(file['path']) else 'regular', 'shouldIgnore': False,
             'oid': present.get(file['path'], {}).get('oid')}
            for file in self.json()['files']]})

    def lfs_batch(self, repo: str) -> Reply:
        self.writable(repo)
        objects = []
        for wanted in self.json()['objects']:
            if not self.hub.storage.object(repo, wanted['oid']).exists():
                wanted['actions'] = {
                    'upload': {'href': f'{self.hub.url}/{repo}/lfs/{wanted["oid"]}', 'header': {}},
                    'verify': {'href': f'{self.hub.url}/{repo}/lfs/verify', 'header': {}}}
            objects.append(wanted)
        return as_json({'transfer': 'basic', 'objects': objects})

    def lfs_upload(self, repo: str, oid: str) -> Reply:
        if hashlib.sha256(self.payload).hexdigest() != oid:
            raise Refusal(400, 'The content does not have the promised SHA-256')
        self.hub.storage.store(repo, self.payload, lfs=True)
        return as_json({})

    def lfs_verify(self, repo: str) -> Reply:
        wanted = self.json()
        path = self.hub.storage.object(repo, wanted['oid'])
        if not path.exists() or path.stat().st_size != wanted['size']:
            raise Refusal(404, 'The object was not uploaded')
        return as_json({})

    def commit(self, repo: str, revision: str) -> Reply:
        found = self.writable(repo)
        lines = [json.loads(line) for line in self.payload.splitlines()]
        header, files = lines[0]['value'], {}
        if header.get('parentCommit', found.commits[-1].oid) != found.commits[-1].oid:
            raise Refusal(412, 'A commit has happened since. Please refresh and try again.')
        for line in lines[1:]:
            key, value = line['key'], line['value']
            if key == 'file':
                files[value['path']] = base64.b64decode(value['content'])
            elif key == 'lfsFile':
                if not self.hub.storage.object(repo, value['oid']).exists():
                    raise Refusal(400, f'{value["path"]} was not uploaded')
                files[value['path']] = {'oid': value['oid'], 'size': value['size'], 'lfs': True}
            elif key == 'deletedFile':
                files[value['path']] = None
            else:
                raise Refusal(400, f'The test Hub does not know the operation {key}')
        oid = self.hub.storage.commit(repo, files, header['summary']).oid
        return as_json({'success': True, 'commitOid': oid, 'commitUrl': f'{self.hub.url}/{repo}/commit/{oid}'})

    # a pull

    def resolve(self, repo: str, revision: str, path: str) -> Reply:
        found = self.readable(repo)
        if found.gated and self.role() != 'write':
            raise Refusal(403 if self.role() else 401, f'Access to model {repo} is restricted.', 'GatedRepo')
        commit = self.hub.storage.resolve(repo, revision)
        headers = {'X-Repo-Commit': commit.oid}
        if path not in commit.files:
            return as_json({'error': 'Entry not found'}, 404, **headers, **{
                'X-Error-Code': 'EntryNotFound', 'X-Error-Message': 'Entry not found'})
        entry = commit.files[path]
        headers['ETag'] = f'"{entry["oid"]}"'
        if entry['lfs']:
            headers.update({'X-Linked-ETag': headers['ETag'], 'X-Linked-Size': str(entry['size'])})
        content = self.hub.storage.object(repo, entry['oid']).read_bytes()
        wanted = re.fullmatch(r'bytes=(\d+)-', self.headers.get('Range', ''))
        if wanted is None:
            return Reply(content, headers)
        start = int(wanted.group(1))
        headers['Content-Range'] = f'bytes {start}-{len(content) - 1}/{len(content)}'
        return Reply(content[start:], headers, 206)


class Hub:
    """A running Hub: `with Hub(folder) as hub:`, then `hub.url`, `hub.storage`, `hub.faults` and `hub.requests`."""

    def __init__(
            self,
            root: Path,
            port: int = 0,
            tokens: Optional[Dict[str, str]] = None,
            verbose: bool = False,
    ) -> None:
        self.storage, self.faults = Storage(root), Faults()
        self.tokens = TOKENS if tokens is None else tokens
        self.verbose = verbose
        self.requests: List[Request] = []
        self.listen(port)

    def listen(self, port: int) -> None:
        self.server = ThreadingHTTPServer(('127.0.0.1', port), type('BoundHandler', (Handler,), {'hub': self}))
        self.server.daemon_threads = True
        self.url = f'http://127.0.0.1:{self.server.server_port}'

    def __enter__(self) -> 'Hub':
        threading.Thread(target=self.server.serve_forever, kwargs={'poll_interval': 0.05}, daemon=True).start()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.server.shutdown()
        self.server.server_close()

    @contextmanager
    def down(self) -> Iterator[None]:
        """Refuse new connections, and break those that clients keep open."""
        self.faults.add('', times=None, drop='before')
        self.__exit__()
        try:
            yield
        finally:
            self.faults.clear()
            self.listen(self.server.server_port)
            self.__enter__()


def main() -> None:
    parser = argparse.ArgumentParser(description='A small Hugging Face Hub on 127.0.0.1, to publish to and pull from.')
    parser.add_argument('--root', type=Path, required=True, help='folder for what is pushed')
    parser.add_argument('--port', type=int, default=0, help='default: a free one')
    args = parser.parse_args()
    hub = Hub(args.root, args.port, verbose=True)
    print(f'export HF_ENDPOINT={hub.url} HF_TOKEN=hf_write HF_HUB_DISABLE_XET=1', flush=True)
    try:
        hub.server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == '__main__':
    main()
