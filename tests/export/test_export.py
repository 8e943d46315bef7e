"""Files that compute what the model does, or are not left."""
import hashlib
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import timm
import torch

from fdnm_timm import spectrum
from fdnm_timm.data import build_test_transform
from fdnm_timm.data.synthetic import draw_face, draw_person
from fdnm_timm.export import ParityError, export_model, exportable_network, open_exported
from fdnm_timm.export.facts import preprocessing_for
from fdnm_timm.export.parity import check_parity
from fdnm_timm.extraction import Embedder
from fdnm_timm.layers import MODALITIES, AmplitudeGuidedPhase

from ..extraction.helpers import forked
from .conftest import SIZE, make_embedder

NUMBERS = torch.tensor([1, 0, 0, 1, 1, 0, 1])
_HEIGHT_WIDTH = dict(height=SIZE[0], width=SIZE[1])


def clear_of_the_cut(model, images, count):
    """The first images that have no bin where AGP's phases jump by 2*pi, and rounding decides about its turn."""
    near = torch.zeros(len(images), dtype=torch.bool)

    def look(module, inputs):
        theta = torch.view_as_complex(spectrum.rfft2(inputs[0])).angle()
        near.logical_or_(((theta + math.pi - 1e-5).abs() < 8e-6).flatten(1).any(dim=1))

    hooks = [
        module.register_forward_pre_hook(look) for module in model.modules()
        if isinstance(module, AmplitudeGuidedPhase)]
    with torch.no_grad():
        for modality in MODALITIES:
            model(images, modality)
    for hook in hooks:
        hook.remove()
    assert count <= (~near).sum() and near.sum() < len(images) / 2
    return images[~near][:count]


def assert_embeds(embedder, file, modality, size=SIZE):
    """In batches of sizes that the export itself did not compare, of images that it did not see."""
    run, facts = open_exported(file)
    images = torch.randn(21, embedder.model.in_chans, *size, generator=torch.Generator().manual_seed(5))
    images = clear_of_the_cut(embedder.model, images, 7)
    given = NUMBERS if modality == 'input' else modality
    expected = embedder.embed(images, given)
    assert np.abs(expected - embedder.embed(images, 1 - NUMBERS)).max() > 1e-2  # else no modality would be told
    for batch in (7, 3, 1):
        others = (NUMBERS[:batch].numpy(),) if modality == 'input' else ()
        got = run(images[:batch].numpy(), *others)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, expected[:batch], rtol=0, atol=2e-5)
    return facts


def test_onnx(embedder, onnx_file):
    facts = assert_embeds(embedder, onnx_file.path, 'input')
    assert facts == onnx_file.facts and set(onnx_file.parity) == {'random', 'real'}


@pytest.mark.parametrize('modality', ['visible', 'infrared', 'input'])
def test_torchscript(embedder, tmp_path, modality):
    exported = export_model(embedder, tmp_path / 'model.pt', modality, **_HEIGHT_WIDTH)
    assert assert_embeds(embedder, exported.path, modality) == exported.facts
    assert sorted(file.name for file in tmp_path.iterdir()) == ['model.pt', 'model.pt.json']
    assert json.loads(exported.facts_path.read_text()) == {
        **exported.facts, 'format': 'torchscript', 'parity': exported.parity,
        'sha256': hashlib.sha256(exported.path.read_bytes()).hexdigest()}


@pytest.mark.parametrize('name', ['model.onnx', 'model.pt', 'model.pt2'])
def test_full_disk_leaves_the_file_of_before(embedder, tmp_path, name):
    """By a limit of a file's size; torch's own writers abort the whole process there."""
    resource = pytest.importorskip('resource')
    path, message = tmp_path / name, tmp_path / 'message'
    path.write_text('before')

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            export_model(embedder, path, 'visible', **_HEIGHT_WIDTH)
        except OSError as error:
            message.write_text(str(error))
            return 3
        return 4

    assert forked(limited) == 3
    assert re.match(f'Cannot write "{re.escape(str(path))}": .*File too large.* Make room', message.read_text())
    assert sorted(os.listdir(tmp_path)) == ['message', name] and path.read_text() == 'before'


def test_torchscript_takes_images_of_any_size(embedder, tmp_path):
    exported = export_model(embedder, tmp_path / 'model.pt', 'visible', **_HEIGHT_WIDTH)
    assert_embeds(embedder, exported.path, 'visible', (33, 20))


def test_pt2(embedder, tmp_path):
    exported = export_model(embedder, tmp_path / 'model.pt2', 'input', **_HEIGHT_WIDTH)
    assert assert_embeds(embedder, exported.path, 'input') == exported.facts
    program = torch.export.load(exported.path)
    values = [node.meta['val'] for node in program.graph.nodes if isinstance(node.meta.get('val'), torch.Tensor)]
    assert len(values) > 50 and not any(value.is_complex() for value in values)
    assert not any('fft' in str(node.target) or 'autocast' in str(node.target) for node in program.graph.nodes)


def test_facts(embedder, onnx_file):
    facts = onnx_file.facts
    assert facts['fingerprint'] == embedder.fingerprint and facts['source'] == "the test's fdnm_resnet18"
    assert facts['architecture'] == 'fdnm_resnet18' and facts['modality'] == 'input'
    assert facts['inputs'] == {
        'images': {'type': 'float32', 'shape': ['batch', 3, *SIZE]},
        'modality': {'type': 'int64', 'shape': ['batch'], 'values': {'visible': 0, 'infrared': 1}}}
    assert facts['outputs'] == {'embedding': {'type': 'float32', 'shape': ['batch', 2 * 5 * 64]}}
    assert facts['preprocessing']['resize'] == facts['preprocessing']['crop'] == list(SIZE)


def tensors(graph):
    """Of ONNX: (name, type) of all that a graph says the type of."""
    yield from ((value.name, value.type.tensor_type.elem_type) for value in (
        *graph.input, *graph.output, *graph.value_info))
    yield from ((tensor.name, tensor.data_type) for tensor in graph.initializer)


def test_onnx_graph_is_plain(onnx_file):
    model = onnx.load(onnx_file.path)
    onnx.checker.check_model(model, full_check=True)
    nodes = [node for owner in (model.graph, *model.functions) for node in owner.node]
    assert {node.domain for node in nodes} <= {'', 'ai.onnx'}
    operations = {node.op_type for node in nodes}
    assert 'MatMul' in operations and not operations & {'DFT', 'STFT', 'Loop', 'If', 'Scan', 'SequenceConstruct'}
    types = {kind for _, kind in tensors(onnx.shape_inference.infer_shapes(model).graph)}
    assert onnx.TensorProto.FLOAT in types
    assert not types & {onnx.TensorProto.COMPLEX64, onnx.TensorProto.COMPLEX128, onnx.TensorProto.DOUBLE}
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)}
    assert shapes == {'images': ['batch', 3, *SIZE], 'modality': ['batch'], 'embedding': ['batch', 640]}


@pytest.mark.parametrize('name, kwargs', [
    ('fdnm_resnet18', {}),
    ('fdnm_resnet50', {}),
    ('fdnm_resnet18', dict(num_stages=1, agp_stages=(1,), anm=False, final_norm=True, num_parts=0)),
    ('fdnm_resnet18', dict(num_stages=1, agp_stages=(), anm_residual=False, embedding='global', global_pool='max')),
    ('fdnm_lightcnn29_v1', dict(img_size=32, num_parts=2)),
], ids=['resnet18', 'resnet50', 'no ANM', 'no AGP', 'lightcnn29_v1'])
def test_models(name, kwargs, tmp_path):
    embedder = make_embedder(name, **kwargs)
    size = (32, 32) if 'img_size' in kwargs else SIZE
    embedder.preprocessing.update(height=size[0], width=size[1])
    export_model(embedder, tmp_path / 'model.pt', 'infrared')
    assert_embeds(embedder, tmp_path / 'model.pt', 'infrared', size)


def grey_embedder():
    embedder = make_embedder('fdnm_lightcnn29', img_size=32)
    embedder.preprocessing.update(height=32, width=32, margin=4)
    return embedder


def test_faces_by_onnx(tmp_path):
    embedder = grey_embedder()
    facts = export_model(embedder, tmp_path / 'model.onnx', 'visible').facts
    assert facts['preprocessing'] == {
        'mode': 'L', 'resize': [36, 36], 'interpolation': 'bilinear', 'crop': [32, 32], 'mean': [0.], 'std': [1.]}
    assert_embeds(embedder, tmp_path / 'model.onnx', 'visible', (32, 32))
    paths = []
    for number in range(2):
        paths.append(tmp_path / f'{number}.png')
        draw_face(number, 0, 0, size=50).save(paths[-1])
    transform = build_test_transform(**preprocessing_for(embedder))
    images = torch.stack([transform(draw_face(number, 0, 0, size=50).convert('RGB')) for number in range(2)])
    a, b = embedder.embed(images, 'visible')
    assert snippet(tmp_path / 'model.onnx', *paths) == pytest.approx(a @ b / (a @ a), abs=1e-5)


def test_one_stem_for_both(tmp_path):
    embedder = make_embedder(num_stages=1, agp_stages=(1,), two_stream=False)
    export_model(embedder, tmp_path / 'model.pt', 'visible', **_HEIGHT_WIDTH)
    run, _ = open_exported(tmp_path / 'model.pt')
    images = torch.randn(2, 3, *SIZE)
    np.testing.assert_allclose(run(images.numpy()), embedder.embed(images, 'infrared'), rtol=0, atol=2e-5)
    with pytest.raises(ValueError, match=r"one stem for both modalities.*'visible'"):
        export_model(embedder, tmp_path / 'either.pt', 'input')


BLOCK = '''
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('torch', 'torchvision', 'timm', 'fdnm_timm', 'safetensors'):
            raise ImportError(f'{name} is not to be had')
sys.meta_path.insert(0, Refuse())
'''


def snippet(*arguments) -> float:
    """What the documentation's program prints, run where neither torch nor this package can be imported."""
    document = Path(__file__).parents[2] / 'docs' / 'export.md'
    programs = re.findall(r'```python\n(.*?)```', document.read_text(), re.DOTALL)
    code, = [program for program in programs if 'import onnxruntime' in program]
    done = subprocess.run(
        [sys.executable, '-c', BLOCK + code, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_snippet_of_the_documentation(embedder, onnx_file, tmp_path):
    images = draw_person(0, 1, 0), draw_person(0, 3, 0)
    for name, image in zip(('visible.png', 'infrared.png'), images):
        image.save(tmp_path / name)
    transform = build_test_transform(**preprocessing_for(embedder, *SIZE))
    a, b = embedder.embed(torch.stack([transform(image) for image in images]), [0, 1])
    got = snippet(onnx_file.path, tmp_path / 'visible.png', tmp_path / 'infrared.png')
    assert got == pytest.approx(a @ b / (a @ a), abs=1e-5)


def test_snippet_runs_without_this_package():
    done = subprocess.run([sys.executable, '-c', BLOCK + 'import torch'], capture_output=True, text=True, timeout=120)
    assert 'torch is not to be had' in done.stderr


def test_given_images_are_compared_on(embedder, tmp_path):
    draw_person(3, 1, 0).save(tmp_path / 'person.jpg')
    drawn = export_model(embedder, tmp_path / 'a.pt', 'visible', **_HEIGHT_WIDTH)
    given = export_model(embedder, tmp_path / 'b.pt', 'visible', images=[str(tmp_path / 'person.jpg')], **_HEIGHT_WIDTH)
    assert drawn.parity['random'] == given.parity['random'] and drawn.parity['real'] != given.parity['real']
    with pytest.raises(ValueError, match='no images to compare'):
        export_model(embedder, tmp_path / 'c.pt', 'visible', images=[])
    (tmp_path / 'broken.jpg').write_bytes(b'no image')
    with pytest.raises(RuntimeError, match='Cannot read the image.*broken.jpg'):
        export_model(embedder, tmp_path / 'c.pt', 'visible', images=[str(tmp_path / 'broken.jpg')])
    assert not (tmp_path / 'c.pt').exists()


class Shifted(Embedder):
    """Its embeddings are not the model's."""

    def embed(self, images, modality='unknown'):
        return super().embed(images, modality) + np.float32(2e-4)


def test_file_that_differs_is_not_left(embedder, tmp_path):
    (tmp_path / 'model.pt').write_text('of before')
    with pytest.raises(ParityError, match=r'On 5 random images.*differ by up to 0\.0002.*no more than 0\.0001'):
        export_model(Shifted(embedder.model), tmp_path / 'model.pt', 'visible', **_HEIGHT_WIDTH)
    assert [file.name for file in tmp_path.iterdir()] == ['model.pt']
    assert (tmp_path / 'model.pt').read_text() == 'of before'


def test_parity_sees_every_batch_size_both_modalities_and_nan():
    real = torch.zeros(5, 1, 2, 2)

    def embed(images, modality):
        return np.broadcast_to(np.asarray(modality, np.float32)[:, None], (len(images), 3))

    def wrong_for(condition, value):
        def run(images, modality):
            return embed(images, modality) + (value if condition(images, modality) else 0)
        return run

    assert check_parity(wrong_for(lambda x, m: True, 5e-5), embed, real, 'input')['real'] == pytest.approx(5e-5, 1e-2)
    for size in (1, 2, 5):
        with pytest.raises(ParityError, match=f'On {size} random images'):
            check_parity(wrong_for(lambda x, m, size=size: len(x) == size, 1e-3), embed, real, 'input')
    for number in (0, 1):
        with pytest.raises(ParityError, match='On 1 random images'):
            check_parity(wrong_for(lambda x, m, n=number: len(x) == 1 and m[0] == n, 1e-3), embed, real, 'input')
    with pytest.raises(ParityError, match='On 5 real images'):
        check_parity(wrong_for(lambda x, m: not x.any(), np.nan), embed, real, 'input')
    with pytest.raises(ParityError, match=r'shape \(5, 2\).*shape \(5, 3\)'):
        check_parity(lambda x, m: embed(x, m)[:, :2], embed, real, 'input')


@pytest.mark.parametrize('path, kwargs, error, message', [
    ('model.bin', {}, ValueError, r'ends in ".bin", but the formats are onnx \(".onnx"\)'),
    ('model.pt', dict(format='onnx'), ValueError, r'a file of the format onnx ends in ".onnx"'),
    ('model.pt', dict(format='tflite'), ValueError, "format is 'tflite', but must be one of onnx"),
    ('model.pt', dict(opset=18), ValueError, 'opset is 18, but the format torchscript has no operator sets'),
    ('model.onnx', dict(opset=17), ValueError, 'opset is 17, which the exporter cannot write: 18 is the oldest'),
    ('model.onnx', dict(opset=999), ValueError, 'opset is 999, which the exporter cannot write'),
    ('model.pt', dict(modality='unknown'), ValueError, "modality is 'unknown', but must be one of 'visible'"),
    ('model.pt', dict(height=0), ValueError, 'at least 1 x 1 is needed'),
])
def test_mistakes(embedder, tmp_path, path, kwargs, error, message):
    with pytest.raises(error, match=message):
        export_model(embedder, tmp_path / path, **{'modality': 'visible', **kwargs})
    assert not list(tmp_path.iterdir())


def test_embedder_that_a_file_cannot_be(embedder, tmp_path):
    with pytest.raises(ValueError, match='flip=True'):
        export_model(Embedder(embedder.model, flip=True), tmp_path / 'model.pt', 'visible')
    with pytest.raises(ValueError, match="precision='bf16'"):
        export_model(Embedder(embedder.model, precision='bf16'), tmp_path / 'model.pt', 'visible')
    with pytest.raises(ValueError, match='made for images of 32 x 32 pixels.*48 x 32 is asked for'):
        export_model(grey_embedder(), tmp_path / 'model.pt', 'visible', height=48)
    with pytest.raises(TypeError, match='class LightCNN.*only FDNM'):
        exportable_network(timm.create_model('lightcnn29', img_size=32, num_classes=0), 'visible')


def test_files_that_are_none_of_ours(tmp_path):
    with pytest.raises(FileNotFoundError, match='There is no file.*model.onnx'):
        open_exported(tmp_path / 'model.onnx')
    (tmp_path / 'model.onnx').write_bytes(b'no graph')
    with pytest.raises(RuntimeError, match='onnxruntime .* cannot load ".*model.onnx"'):
        open_exported(tmp_path / 'model.onnx')
    torch.jit.save(torch.jit.script(torch.nn.Identity()), tmp_path / 'model.pt')
    program = torch.export.export(torch.nn.Identity(), (torch.zeros(1),))
    torch.export.save(program, tmp_path / 'model.pt2')
    for name in ('model.pt', 'model.pt2'):
        with pytest.raises(ValueError, match=f'{name}" does not say what it is'):
            open_exported(tmp_path / name)


@pytest.mark.parametrize('name', ['onnx', 'onnxruntime', 'onnxscript'])
def test_missing_library_is_named(embedder, tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r'pip install "fdnm_timm\[export\]"'):
        export_model(embedder, tmp_path / 'model.onnx', 'visible', **_HEIGHT_WIDTH)
    assert not list(tmp_path.iterdir())


def test_model_stays_as_it_is(embedder, tmp_path):
    before = embedder.fingerprint, embedder.model.num_classes, [m.training for m in embedder.model.modules()]
    export_model(embedder, tmp_path / 'model.pt', 'visible', **_HEIGHT_WIDTH)
    fresh = Embedder(embedder.model)
    assert before == (fresh.fingerprint, embedder.model.num_classes, [m.training for m in embedder.model.modules()])
    assert not any(getattr(module, 'exportable', False) for module in embedder.model.modules())
    assert all(p.requires_grad for p in embedder.model.parameters())
