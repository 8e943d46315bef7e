"""Write a Hugging Face Hub cache by hand, so that the unmodified clients find a repository offline."""
from pathlib import Path
from typing import Dict

import torch
from safetensors.torch import save_file


def write_hub_cache(cache_dir: Path, repo_id: str, state_dict: Dict[str, torch.Tensor]) -> Path:
    """Put `state_dict` into `cache_dir` as `repo_id`'s model.safetensors at revision main, and return the file."""
    commit = '0' * 40
    repo = Path(cache_dir) / f'models--{repo_id.replace("/", "--")}'
    snapshot = repo / 'snapshots' / commit
    snapshot.mkdir(parents=True, exist_ok=True)
    (repo / 'refs').mkdir(exist_ok=True)
    (repo / 'refs' / 'main').write_text(commit)
    file = snapshot / 'model.safetensors'
    save_file({key: value.contiguous() for key, value in state_dict.items()}, file)
    return file
