"""What the test Hub keeps: repositories with their commits and tags, and the contents of files."""
import hashlib
import json
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Union

__all__ = ['Commit', 'Refusal', 'Repo', 'Storage', 'git_hash', 'in_lfs']


class Refusal(Exception):
    """A request that the Hub answers with an error; clients tell errors apart by `code`, as with the real one."""

    def __init__(self, status: int, message: str, code: str = '') -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


@dataclass
class Commit:
    oid: str
    message: str
    files: Dict[str, Dict[str, Any]]  # path -> oid (git's SHA-1, or SHA-256 in LFS), size, lfs


@dataclass
class Repo:
    private: bool = False
    gated: bool = False
    commits: List[Commit] = field(default_factory=list)
    tags: Dict[str, str] = field(default_factory=dict)


class Storage:
    """Repositories in `state.json`, their files' contents in `objects/ORG/NAME/`, named by their hashes."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)
        self.lock = threading.RLock()
        self.repos: Dict[str, Repo] = {}
        if (self.root / 'state.json').exists():
            for name, values in json.loads((self.root / 'state.json').read_text()).items():
                commits = [Commit(**commit) for commit in values.pop('commits')]
                self.repos[name] = Repo(**values, commits=commits)

    def save(self) -> None:
        temporary = self.root / 'state.json.new'
        temporary.write_text(json.dumps({name: asdict(repo) for name, repo in self.repos.items()}))
        temporary.replace(self.root / 'state.json')

    def object(self, repo_id: str, oid: str) -> Path:
        return self.root / 'objects' / repo_id / oid

    def create(self, repo_id: str, private: bool = False, gated: bool = False) -> Repo:
        with self.lock:
            if repo_id in self.repos:
                raise Refusal(409, 'You already created this model repo')
            repo = self.repos[repo_id] = Repo(private=private, gated=gated)
            self.commit(repo_id, {'.gitattributes': b'*.safetensors filter=lfs diff=lfs merge=lfs -text\n'}, 'initial')
            return repo

    def commit(self, repo_id: str, files: Dict[str, Union[bytes, Dict[str, Any], None]], message: str) -> Commit:
        """One commit; a file is its bytes, the entry of an object in LFS, or None to delete it."""
        with self.lock:
            repo = self.repos[repo_id]
            tree = dict(repo.commits[-1].files) if repo.commits else {}
            for path, content in files.items():
                if content is None:
                    tree.pop(path, None)
                else:
                    tree[path] = self.store(repo_id, content, in_lfs(path)) if isinstance(content, bytes) else content
            text = json.dumps([repo_id, len(repo.commits), message, tree])
            repo.commits.append(Commit(hashlib.sha1(text.encode()).hexdigest(), message, tree))
            self.save()
            return repo.commits[-1]

    def store(self, repo_id: str, content: bytes, lfs: bool) -> Dict[str, Any]:
        oid = hashlib.sha256(content).hexdigest() if lfs else git_hash(content)
        path = self.object(repo_id, oid)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return {'oid': oid, 'size': len(content), 'lfs': lfs}

    def resolve(self, repo_id: str, revision: str) -> Commit:
        repo = self.repos[repo_id]
        oid = repo.commits[-1].oid if revision == 'main' else repo.tags.get(revision, revision)
        for commit in repo.commits:
            if commit.oid == oid:
                return commit
        raise Refusal(404, f'Invalid rev id: {revision}', 'RevisionNotFound')


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b'blob %d\0' % len(content) + content).hexdigest()


def in_lfs(path: str) -> bool:
    return path.endswith(('.safetensors', '.bin'))
