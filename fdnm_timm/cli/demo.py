"""`fdnm demo`: the main job from end to end on drawn people, with nothing to download."""
import argparse
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, Optional
from urllib.parse import urlsplit

import timm
import torch
from huggingface_hub import HfApi, constants, get_token

from ..config import load_config, recipe_path
from ..data import SyntheticVI
from ..engine import FDNMEngine, build_engine
from ..files import write_json
from ..hub import from_pretrained, model_card, push_to_hub
from ..report import write_report
from ..runs import finish_run, new_run_folder
from ..saved import write_outcomes

__all__ = ['add_parser', 'run']


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        'demo', help='draw people, train, evaluate, save and reload; a few minutes on a CPU',
        description='Draw the SyntheticVI data set, train fdnm_resnet18 on it through the torchreid engine, evaluate '
                    'before and after, save in Hub format, write an HTML report, reload with timm and compare the '
                    'embeddings. Given a repository, or a Hub on this machine by HF_ENDPOINT and HF_TOKEN, publish and '
                    'pull the model too.')
    parser.add_argument('--out', type=Path, default=Path('demo'), help='folder for everything (default: demo)')
    parser.add_argument('--set', dest='settings', metavar='KEY=VALUE', action='append', default=[],
                        help='change one key of the recipe, such as train.epochs=2')
    parser.add_argument('--repo', metavar='ORG/NAME',
                        help='publish to this repository and pull from it (default: ME/fdnm_demo of a Hub on this '
                             'machine, where HF_ENDPOINT names one; else nothing is published)')
    parser.set_defaults(run=run)


def _difference(engine: FDNMEngine, reloaded: Any) -> float:
    """Largest difference between the embeddings of the trained model and of a reloaded one."""
    reloaded = reloaded.to(engine.device).eval()
    engine.set_model_mode('eval')
    name = engine.datamanager.targets[0]
    images, modality = engine.parse_data_for_eval(next(iter(engine.datamanager.test_loader[name]['query'])))
    with torch.no_grad():
        before = engine.extract_features(images, modality)
        after = reloaded.forward_head(reloaded.forward_features(images, modality), pre_logits=True)
    difference = float((before - after).abs().max())
    if difference:
        raise RuntimeError(f"The reloaded model's embeddings differ from the trained one's, by up to {difference}.")
    return difference


def _repo(given: Optional[str]) -> Optional[str]:
    """Where to publish, None for nowhere: without being told to, only to a Hub on this machine."""
    if given or urlsplit(constants.ENDPOINT).hostname not in ('127.0.0.1', 'localhost') or not get_token():
        return given
    return f'{HfApi().whoami()["name"]}/fdnm_demo'


def _publish_and_pull(engine: FDNMEngine, folder: Path, repo: str) -> float:
    pushed = push_to_hub(
        folder / 'hub', repo, card=model_card(folder, repo), commit_message='fdnm_resnet18, trained on drawn people')
    print(f'     {pushed.url}, commit {pushed.commit}')
    with tempfile.TemporaryDirectory() as cache:  # so that it is downloaded
        return _difference(engine, from_pretrained(repo, pushed.commit, cache_dir=cache))


def _row(label: str, result: Dict[str, Any]) -> str:
    return f'{label:<18}' + ''.join(f'{result[metric]:8.2f}' for metric in ('R1', 'R5', 'R10', 'R20', 'mAP', 'mINP'))


def run(args: argparse.Namespace) -> int:
    start = time.monotonic()
    over = {'data': {'root': str(args.out / 'synthetic_vi')}}
    config = load_config(recipe_path('synthetic_vi'), args.settings, over=over)
    folder = new_run_folder(config, args.out / 'run')
    repo = _repo(args.repo)
    print(f'1/5  Drawing people into "{config.data.root}" ...')
    dataset = SyntheticVI(config.data.root, **config.data.options, progress=True)
    engine = build_engine(config, dataset)
    print('2/5  Evaluating the untrained model ...')
    engine.test()
    before = engine.results
    write_outcomes(args.out / 'untrained.npz', engine.outcomes)
    engine.results = {}
    print('3/5  Training fdnm_resnet18 in the torchreid engine ...')
    engine.run(save_dir=str(folder), max_epoch=config.train.epochs)
    print('4/5  Saving in Hub format, with pictures and a report ...')
    finish_run(engine, config, folder)
    report = write_report(folder, args.out / 'report.html')
    print('5/5  Reloading with timm.create_model("local-dir:...", pretrained=True) ...')
    difference = _difference(engine, timm.create_model(f'local-dir:{folder / "hub"}', pretrained=True))
    if repo is not None:
        print(f'     Publishing to "{repo}", and pulling from there ...')
        difference = max(difference, _publish_and_pull(engine, folder, repo))
    name = dataset.name
    write_json(args.out / 'demo.json', {
        'before': before[name], 'after': engine.results[name], 'reload_difference': difference, 'repo': repo,
        'seconds': round(time.monotonic() - start, 1)})
    print(f'\n{"in percent":<18}' + ''.join(f'{m:>8}' for m in ('R1', 'R5', 'R10', 'R20', 'mAP', 'mINP')))
    for setting in before[name]:
        print(setting)
        print(_row('  before training', before[name][setting]))
        print(_row('  after training', engine.results[name][setting]))
    print(f'\nThe reloaded model gives the same embeddings. {time.monotonic() - start:.0f} s. Open "{report}" in a '
          f'browser; the run is in "{folder}". How training moved the distances:\n'
          f'  fdnm plot distances {args.out / "untrained.npz"} {folder} --out {args.out / "distances.png"}\n'
          f'The people are drawn: these numbers say that the parts work together, and nothing about real data.')
    return 0
