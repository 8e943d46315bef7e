"""A model card, written from a run's own files."""
import os
from pathlib import Path
from string import Template
from typing import Any, List, Union

import timm
import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from . import card_sections as sections
from .facts import Facts, facts_of
from .finished import FinishedRun, read_finished_run, shareable_config

__all__ = ['model_card']

# string.Template, because the Hub client's own templates need jinja2
_TEMPLATE = Path(__file__).with_name('card_template.md')
_TASK = 'image-feature-extraction'


def _evaluations(run: FinishedRun) -> List[EvalResult]:
    return [
        EvalResult(
            task_type=_TASK, task_name=facts_of(dataset).task, dataset_type=dataset,
            dataset_name=f'{facts_of(dataset).title}, {setting}', dataset_config=setting,
            dataset_split=sections.split(run),
            dataset_args={
                **sections.variant(result), 'trials': len(result['trials']), 'rule': result['rule'],
                'cmc': result['cmc'], 'reranked': result['reranked'], 'flipped': result['flipped']},
            metric_type=metric.lower(), metric_name=f'{sections.metric_name(metric)} (%)',
            metric_value=round(result[metric], 2))
        for dataset, setting, result in sections.settings_of(run) for metric in result['std']
    ]


def _metadata(run: FinishedRun, repo_id: str, facts: Facts) -> ModelCardData:
    licence, name = facts.licence
    return ModelCardData(
        library_name='timm', license=licence, license_name=name, pipeline_tag=_TASK,
        tags=['timm', 'fdnm', _TASK, 'visible-infrared', facts.task.replace(' ', '-')],
        datasets=[run.config['data']['dataset']], base_model=sections.base_model(run),
        model_name=repo_id.rpartition('/')[2], eval_results=_evaluations(run))


def _body(run: FinishedRun, repo_id: str, facts: Facts) -> str:
    args, cfg = run.hub['model_args'], run.hub['pretrained_cfg']
    model: Any = timm.create_model(run.hub['architecture'], **{**args, 'num_classes': 0}, device='meta')
    channels, height, width = cfg['input_size']
    kind = {1: 'grey', 3: 'RGB; infrared images as three equal channels'}.get(channels, f'{channels} channels')
    return Template(_TEMPLATE.read_text(encoding='utf-8')).substitute(
        title=f'{run.hub["architecture"]}, trained on {facts.title}',
        about=sections.about(run, facts),
        meaning=facts.meaning,
        version=run.version,
        snippet=sections.loading_snippet(f'hf-hub:{repo_id}', channels),
        num_classes=run.hub['num_classes'],
        repo_id=repo_id,
        input=f'(B, {channels}, {height}, {width}): {kind}',
        preprocessing=sections.preprocessing(cfg),
        modality=', '.join(f'{number} = {name}' for name, number in run.hub['fdnm']['modality'].items()),
        stems=', and the two stems are averaged' if args['two_stream'] else
        '; this model has one stem, which treats both alike',
        embedding=(
            f'{model.head_hidden_size:,} numbers: {model.head_hidden_size // model.head.in_features} vectors of length '
            f'1, side by side; compared by cosine'),
        parameters=f'{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.1f}',
        size=f'{run.weights.stat().st_size / 1e6:.1f}',
        sha256=run.sha256,
        measured=sections.measured(run),
        reported=sections.reported_figures(run),
        protocol=sections.protocol(run),
        training=sections.training(run),
        config=yaml.safe_dump(shareable_config(run.config), sort_keys=False).strip(),
        limits=sections.limits(run),
        terms=sections.terms(run, facts),
    )


def model_card(run_dir: Union[str, os.PathLike], repo_id: str) -> str:
    """The README.md of a repository on the Hub: metadata and text, from the run's own files alone.

    Args:
        run_dir: Folder of a finished run.
        repo_id: Where the model will be, 'organisation/name'.

    Raises:
        FileNotFoundError: The folder is no finished run.
        ValueError: Its files are damaged, or are not of one run.
    """
    run = read_finished_run(Path(run_dir))
    facts = facts_of(run.config['data']['dataset'])
    return ModelCard(f'---\n{_metadata(run, repo_id, facts).to_yaml()}\n---\n{_body(run, repo_id, facts)}').content
