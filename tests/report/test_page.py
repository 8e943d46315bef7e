import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np
import pytest

from fdnm_timm.cli import main
from fdnm_timm.metrics import bootstrap
from fdnm_timm.report import report_html, write_report
from fdnm_timm.report.blocks import Items, Note, Table
from fdnm_timm.report.material import read_material
from fdnm_timm.report.results import measured, protocol
from fdnm_timm.report.text import inline, table_cells
from fdnm_timm.saved import read_outcomes, read_samples, write_outcomes

from ..hub.small_run import changed_copy

_VOID = {'meta', 'img', 'br', 'wbr', 'link', 'input', 'hr', 'col'}


class Page(HTMLParser):
    """Reads a page strictly: every tag that opens is closed, in turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: List[str] = []
        self.tags: List[Tuple[str, Dict[str, str]]] = []
        self.tables: List[List[List[str]]] = []
        self.texts: Dict[str, List[str]] = {}
        self.feed(html)
        self.close()
        assert not self.open, f'never closed: {self.open}'

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f'<{tag}> names an attribute twice'
        self.tags.append((tag, {name: value or '' for name, value in attrs}))
        if tag == 'table':
            self.tables.append([])
        elif tag == 'tr':
            self.tables[-1].append([])
        elif tag in ('td', 'th'):
            self.tables[-1][-1].append('')
        if tag not in _VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append('')

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f'</{tag}> closes another tag'

    def handle_data(self, data):
        for tag in set(self.open):
            self.texts[tag][-1] += data
        if self.tables and {'td', 'th'} & set(self.open):
            self.tables[-1][-1][-1] += data

    def all(self, tag: str) -> List[Dict[str, str]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope='module')
def page(html) -> Page:
    return Page(html)


def row_of(page: Page, name: str, table: int = 1) -> List[str]:
    return next(row for row in page.tables[table] if row[0] == name)


def test_the_page_is_well_formed_and_holds_all_that_it_shows(page):
    for tag, attrs in page.tags:
        assert not {'srcset', 'onload', 'onerror', 'style'} & attrs.keys()
        assert attrs.get('src', 'data:image/').startswith('data:image/') and attrs.get('href', '#').startswith('#')
        assert tag not in ('script', 'link', 'iframe', 'object', 'embed', 'form', 'base')
    policy = next(meta['content'] for meta in page.all('meta') if meta.get('http-equiv') == 'Content-Security-Policy')
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    assert 'url(' not in page.texts['style'][0] and '@import' not in page.texts['style'][0]


def test_contents_lead_to_every_section(page):
    links = [attrs['href'] for attrs in page.all('a')]
    assert links == [f'#{attrs["id"]}' for attrs in page.all('section')] and len(set(links)) == len(links) > 8
    ids = [attrs['id'] for _, attrs in page.tags if 'id' in attrs]
    assert len(set(ids)) == len(ids)
    assert all(attrs['aria-labelledby'] in ids for attrs in page.all('section'))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch('h[1-6]', tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:]))


def test_every_picture_is_told_in_words(run, page):
    pictures = page.all('img')
    assert len(pictures) == 6 and len(pictures) == len(page.all('figure')) == len(page.texts['figcaption'])
    texts = {kind: next(picture['alt'] for picture in pictures if kind in picture['alt'])
             for kind in ('epochs', 'CMC', 'Histograms', 'Trials', 't-SNE', 'Rows of images')}
    results = json.loads((run / 'results.json').read_text())
    entry, result = results['history'][0], results['results']['synthetic_vi']['all_search_single_shot']
    assert f'total loss from {entry["loss"]:.2f} to' in texts['epochs']
    assert f'all_search_single_shot has {result["R1"]:.1f} percent at rank 1' in texts['CMC']
    values = [trial['R1'] for trial in result['trials']]
    assert f'Rank-1 from {min(values):.1f} to {max(values):.1f}, mean {result["R1"]:.1f}' in texts['Trials']
    outcome = read_outcomes(run / 'outcomes.npz')['synthetic_vi']['indoor_search_multi_shot']
    intra, inter = outcome.distance_means
    assert f'indoor_search_multi_shot has means {intra:.3f} within and {inter:.3f} between' in texts['Histograms']
    assert 'right for 1 of the 3 queries' in texts['Rows of images']
    samples = read_samples(run / 'samples.npz')['synthetic_vi']
    nearest = [
        samples.pids[np.flatnonzero(samples.modality != own)[of[samples.modality != own].argmin()]]
        for own, of in zip(samples.modality, samples.phase)]
    assert f'{100 * np.mean(nearest == samples.pids):.0f} percent in phase' in texts['t-SNE']
    assert int(pictures[-1]['width']) == 250


def test_tables_have_headers_and_captions(page):
    assert len(page.all('table')) == len(page.all('caption'))
    heads = page.all('th')
    assert {head['scope'] for head in heads} == {'row', 'col', 'colgroup'}
    assert page.tables[1][0][1] == 'measured here (seed 3)'


def test_what_was_measured_stands_there(run, page):
    results = json.loads((run / 'results.json').read_text())['results']['synthetic_vi']
    head = page.tables[1][1]
    for setting, result in results.items():
        row = dict(zip(head, row_of(page, setting)))
        assert row['Rank-1'] == f'{result["R1"]:.2f}\n± {result["std"]["R1"]:.2f}'
        assert row['mAP'] == f'{result["mAP"]:.2f}\n± {result["std"]["mAP"]:.2f}'
    text = ' '.join(page.texts['main'])
    assert 'reports nothing on SyntheticVI' in text
    assert 'drawn by a program' in page.texts['header'][0] and 'drawn by a program' in text
    assert page.texts['h1'] == ['fdnm_resnet18 on SyntheticVI, seed 3']
    trial = next(table for table in page.tables if table[0][0] == 'trial')
    first = next(iter(results.values()))['trials']
    assert [row[1] for row in trial[1:]] == [f'{entry["R1"]:.2f}' for entry in first]


def test_intervals_are_those_of_the_queries(run, page):
    outcome = read_outcomes(run / 'outcomes.npz')['synthetic_vi']['all_search_single_shot']
    interval = bootstrap(100 * np.nanmean(outcome.ap, axis=0), outcome.pids)
    row = dict(zip(page.tables[2][0], row_of(page, 'all_search_single_shot', 2)))
    assert row['mAP'] == f'[{interval.low:.1f}, {interval.high:.1f}]'
    assert row['identities'] == str(len(np.unique(outcome.pids)))


def test_reported_figures_have_columns_of_their_own(run, tmp_path):
    def as_sysu(config, settings):
        config['data']['dataset'] = 'sysu_mm01'
        settings['all_search_single_shot']['reported'] = {'R1': 77.8, 'mAP': 75.1}
    folder = changed_copy(run, tmp_path / 'run', as_sysu)
    (folder / 'outcomes.npz').unlink()
    page = Page(report_html(folder))
    groups, head, *_ = page.tables[1]
    assert groups[1:] == ['measured here (seed 3)', 'reported by the paper (arXiv 2401.02162), not measured']
    assert head[-2:] == ['Rank-1', 'mAP'] and len(head) == 1 + 6 + 2
    assert row_of(page, 'all_search_single_shot')[-2:] == ['77.8', '75.1']
    assert row_of(page, 'indoor_search_single_shot')[-2:] == ['-', '-']
    assert '77.8' not in ' '.join(cell for table in page.tables[2:] for row in table for cell in row)
    marked = [attrs for attrs in page.all('td') if 'reported' in attrs.get('class', '').split()]
    assert len(marked) == 2 * 4


def test_names_from_outside_are_escaped(run, tmp_path):
    evil = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'

    def change(config, settings):
        config['data']['dataset'] = evil
        settings[f'setting {evil}'] = settings.pop('all_search_multi_shot')
        settings[f'setting {evil}']['warnings'] = [evil]
    folder = changed_copy(run, tmp_path / 'run', change)
    html = report_html(folder)
    page = Page(html)
    assert not page.all('script') and all(attrs['src'].startswith('data:') for attrs in page.all('img'))
    assert '<script' not in html and evil in page.texts['h1'][0] and evil in page.texts['main'][0]


def test_configuration_without_folders_of_the_machine(html, page, sysu_tree):
    assert 'agp_stages:' in page.texts['code'][-1] or any('agp_stages:' in code for code in page.texts['code'])
    assert str(sysu_tree) not in html and str(sysu_tree.parent) not in html


def test_warnings_and_variants_are_named(run, tmp_path):
    def other(config, settings):
        config['data']['hold_out'] = 4
        for result in settings.values():
            result.update(reranked=True, flipped=True, warnings=['Too few impostors.'])
            result['trials'] = result['trials'][:1]
    folder = changed_copy(run, tmp_path / 'run', other)
    material = read_material(folder)
    text = '\n'.join(next(block for block in protocol(material).blocks if isinstance(block, Items)).items)
    assert 'Measured on held-out training identities' in text and 'Too few impostors.' in text
    names = ', '.join(f'`{row[0]}`' for row in measured(material).blocks[0].rows)
    assert f'{names}: **re-ranked**' in text and f'{names}: **mirrored images' in text and f'{names}: Too few' in text
    assert '±' not in measured(material).blocks[0].rows[0][1]


@pytest.fixture
def older(run, tmp_path) -> Path:
    """As a run's folder was before there were figures."""
    folder = changed_copy(run, tmp_path / 'older', lambda config, settings: None)
    for name in ('outcomes.npz', 'samples.npz', 'ranked.json', 'environment.json'):
        (folder / name).unlink()
    return folder


def test_a_folder_of_an_older_version_says_what_would_make_the_rest(older):
    page = Page(report_html(older))
    text = page.texts['main'][0]
    for what in ('--outcomes RUN/outcomes.npz', '--samples RUN/samples.npz', '--ranked RUN/ranked.json'):
        assert f'fdnm evaluate RUN {what}' in text
    assert 'not known' in text and row_of(page, 'seed', 0) == ['seed', '3'] and len(page.all('img')) == 2


@pytest.mark.parametrize('name', ['config.yaml', 'results.json', 'hub/config.json'])
def test_an_unfinished_run_is_refused_with_what_is_missing(run, tmp_path, name):
    folder = changed_copy(run, tmp_path / 'run', lambda config, settings: None)
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f'it has no {name}'):
        write_report(folder)
    assert not (folder / 'report.html').exists()


def test_damaged_outcomes(run, tmp_path):
    folder = changed_copy(run, tmp_path / 'run', lambda config, settings: None)
    (folder / 'outcomes.npz').write_bytes(b'PK nothing')
    with pytest.raises(ValueError, match='outcomes.npz" is damaged.*fdnm evaluate'):
        report_html(folder)


def test_outcomes_of_another_evaluation_are_told(run, html, tmp_path):
    assert 'another evaluation' not in html

    def better(config, settings):
        settings['indoor_search_multi_shot']['R1'] += 1
    section = measured(read_material(changed_copy(run, tmp_path / 'run', better)))
    (note,) = [block for block in section.blocks if isinstance(block, Note)]
    assert '`indoor_search_multi_shot` has Rank-1' in note.text and 'another evaluation' in note.text


def test_queries_of_one_identity_have_no_interval(run, tmp_path):
    folder = changed_copy(run, tmp_path / 'run', lambda config, settings: None)
    ((target, settings),) = read_outcomes(folder / 'outcomes.npz').items()
    write_outcomes(folder / 'outcomes.npz', {target: {
        name: outcome._replace(pids=np.zeros_like(outcome.pids)) for name, outcome in settings.items()}})
    _, intervals = [block for block in measured(read_material(folder)).blocks if isinstance(block, Table)]
    assert intervals.rows[0] == ['all_search_single_shot', '1', *3 * ['one identity']]


def test_sentences():
    assert str(inline('a `<b>` **c & d** [e](https://f.g)')) == \
        'a <code>&lt;b&gt;</code> <strong>c &amp; d</strong> e (https://f.g)'
    assert str(inline('2 * 3 ** 4 ` [a] (b)')) == '2 * 3 ** 4 ` [a] (b)'
    table = '| a | b c |\n| --- | --- |\n| 1 | - |\n| 2 | x, y |'
    assert table_cells(table) == (['a', 'b c'], [['1', '-'], ['2', 'x, y']])


def test_the_command_writes_where_it_is_asked_to(older, tmp_path, capsys):
    assert main(['report', str(older)]) == 0
    assert 'report.html' in capsys.readouterr().out
    assert main(['report', str(older), '--out', str(tmp_path / 'deep' / 'mine.html')]) == 0
    content = (tmp_path / 'deep' / 'mine.html').read_bytes()
    assert content == (older / 'report.html').read_bytes() and content.endswith(b'</html>')
    assert main(['report', str(older), '--out', str(tmp_path / 'mine.pdf')]) == 2
    assert 'ends in .html' in capsys.readouterr().err
    assert main(['report', str(tmp_path)]) == 2
    assert 'no config.yaml' in capsys.readouterr().err
