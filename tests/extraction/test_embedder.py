import json
import shutil

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from fdnm_timm.data import build_test_transform, read_image
from fdnm_timm.extraction import Embedder, load_embedder
from fdnm_timm.hub import save_pretrained

from .helpers import small_model


def prepared(embedder, paths):
    return torch.stack([embedder.transform(read_image(path)) for path in paths])


def test_sources_of_the_same_model(saved, tmp_path, embedder):
    """A saved folder by its scheme and without, a run's folder, and the model itself."""
    run = tmp_path / 'run'
    shutil.copytree(saved, run / 'hub')
    model = timm.create_model(f'local-dir:{saved}', pretrained=True, num_classes=0)
    others = [load_embedder(str(saved)), load_embedder(str(run)), Embedder(model)]
    assert [other.source for other in others] == [f'local-dir:{saved}', f'local-dir:{run / "hub"}', 'a model']
    assert {other.fingerprint for other in others} == {embedder.fingerprint}
    assert not any(other.model.training for other in others)


def test_fingerprint_tells_what_changes_embeddings(saved, tmp_path, embedder):
    def variant(**kwargs):
        """Of the same weights."""
        return Embedder(timm.create_model(f'local-dir:{saved}', pretrained=True, **kwargs)).fingerprint

    found = {embedder.fingerprint, variant(anm_residual=False), variant(global_pool='max'),
             load_embedder(str(small_model(tmp_path / 'seed', seed=1))).fingerprint}
    assert len(found) == 4 and all(len(fingerprint) == 64 for fingerprint in found)
    assert variant(drop_rate=0.5, num_classes=7) == embedder.fingerprint
    model = load_embedder(str(saved)).model
    model.reset_classifier(9)  # which no embedding goes through
    assert Embedder(model).fingerprint == embedder.fingerprint
    with torch.no_grad():
        model.head.neck.running_mean[0] += 1e-6
    assert Embedder(model).fingerprint != embedder.fingerprint


def test_transform_is_the_evaluations(embedder, images):
    assert embedder.preprocessing == dict(
        height=32, width=16, margin=4, channels=3, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    image = read_image(images[0])
    assert torch.equal(embedder.transform(image), build_test_transform(32, 16, margin=4)(image))


def test_grey_faces():
    found = Embedder(timm.create_model('fdnm_lightcnn29'))
    assert found.preprocessing == dict(height=128, width=128, margin=16, channels=1, mean=[0.], std=[1.])
    assert found.transform(Image.new('RGB', (30, 50), (255, 0, 0))).shape == (1, 128, 128)
    assert found.dims == 512


@pytest.mark.parametrize('margin', [0, 1, 10, 16, 37])
def test_margin_survives_crop_pct(embedder, margin):
    """For every height that is used: a run's folder records the margin as a fraction alone."""
    model = embedder.model
    for height in (16, 31, 96, 112, 128, 224, 288, 384):
        model.pretrained_cfg.update(input_size=(3, height, 16), crop_pct=height / (height + margin))
        assert Embedder(model).preprocessing['margin'] == margin


def test_modalities(embedder, images):
    batch = prepared(embedder, images[:5])
    model = embedder.model
    with torch.no_grad():
        expected = {
            number: model.forward_head(model.forward_features(batch, name), pre_logits=True).numpy()
            for number, name in ((0, 'visible'), (1, 'infrared'), (-1, None))}
    assert np.abs(expected[0] - expected[1]).max() > 1e-2
    for names, number in ((('visible', 0), 0), (('infrared', 1), 1), (('unknown', None, -1), -1)):
        for name in names:
            found = embedder.embed(batch, name)
            assert found.dtype == np.float32 and found.shape == (5, embedder.dims)
            np.testing.assert_array_equal(found, expected[number])
    kinds = np.array([1, 0, -1, 0, 1], np.int8)
    rows = np.stack([expected[int(kind)][row] for row, kind in enumerate(kinds)])
    for modality in (kinds, kinds.tolist(), torch.from_numpy(kinds)):
        np.testing.assert_allclose(embedder.embed(batch, modality), rows, atol=1e-6)
    np.testing.assert_array_equal(embedder.embed(batch), expected[-1])
    # each part (two branches' global head) has length 1
    np.testing.assert_allclose(np.linalg.norm(rows.reshape(5, 2, -1), axis=-1), 1, atol=1e-5)


def test_flip_and_precision(saved, embedder, images):
    batch = prepared(embedder, images[:4])
    both = (embedder.embed(batch, 0) + embedder.embed(batch.flip(-1), 0)) / 2
    flipped = load_embedder(str(saved), flip=True)
    np.testing.assert_allclose(flipped.embed(batch, 0), both, atol=1e-6)
    half = load_embedder(str(saved), precision='bf16')
    difference = np.abs(half.embed(batch, 0) - embedder.embed(batch, 0)).max()
    assert 1e-6 < difference < 0.05
    assert (flipped.metadata['flip'], half.metadata['precision']) == ('true', 'bf16')
    assert flipped.fingerprint == half.fingerprint == embedder.fingerprint


@pytest.mark.parametrize('modality', ['blue', 2, [0, 1], [0.5] * 3, [[0, 1, 0]]])
def test_wrong_modality(embedder, modality):
    with pytest.raises(ValueError, match='modality'):
        embedder.embed(torch.zeros(3, 3, 32, 16), modality)


def test_wrong_sources(tmp_path, saved):
    (tmp_path / 'unfinished').mkdir()
    for source, error, message in (
            ('local-dir:nowhere', FileNotFoundError, 'There is no folder "nowhere" with a model'),
            (f'local-dir:{tmp_path}', FileNotFoundError, 'has no config.json'),
            (str(tmp_path / 'unfinished'), FileNotFoundError, 'holds no model: .*Finish the run with `fdnm train'),
            ('runs/missing', ValueError, 'neither a folder nor a name that timm knows'),
            ('fdnm_resnet18', ValueError, 'architecture without weights that were trained to embed'),
            ('fdnm_resnet18.in1k', ValueError, 'architecture without weights that were trained to embed'),
            ('lightcnn29', ValueError, 'architecture without weights')):
        with pytest.raises(error, match=message):
            load_embedder(source)
    with pytest.raises(ValueError, match='knows no modalities'):
        load_embedder('lightcnn29', allow_untrained=True)
    with pytest.raises(ValueError, match="precision is 'fp8'"):
        load_embedder(str(saved), precision='fp8')
    with pytest.raises(ValueError, match='The device "gpu" cannot be used'):
        load_embedder(str(saved), 'gpu')


def test_untrained_is_the_same_every_time():
    state = torch.get_rng_state()
    first = load_embedder('fdnm_resnet18', allow_untrained=True)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(1)
    assert load_embedder('fdnm_resnet18', allow_untrained=True).fingerprint == first.fingerprint


def test_changed_weights_are_refused(saved, tmp_path):
    folder = tmp_path / 'changed'
    shutil.copytree(saved, folder)
    weights = bytearray((folder / 'model.safetensors').read_bytes())
    weights[-1] ^= 1
    (folder / 'model.safetensors').write_bytes(weights)
    with pytest.raises(ValueError, match='SHA-256'):
        load_embedder(str(folder))
    config = json.loads((folder / 'config.json').read_text())
    del config['fdnm']  # plain timm records none
    (folder / 'config.json').write_text(json.dumps(config))
    assert load_embedder(str(folder)).dims == 256


@pytest.mark.parametrize('change, message', [
    (dict(interpolation='bicubic'), 'asks for bicubic interpolation'),
    (dict(input_size=(1, 32, 16)), r'takes 3 channels, but its configuration says input_size=\[1, 32, 16\]'),
    (dict(mean=(0.5,)), r'mean=\[0\.5\]'),
])
def test_preprocessing_that_evaluation_does_not_have(embedder, change, message):
    embedder.model.pretrained_cfg.update(change)
    with pytest.raises(ValueError, match=message):
        Embedder(embedder.model)


def test_maps_are_no_embeddings(tmp_path, embedder):
    embedder.model.reset_classifier(0, '')
    save_pretrained(embedder.model, tmp_path)
    with pytest.raises(ValueError, match='global_pool=""'):
        load_embedder(str(tmp_path))
