import numpy as np

from fdnm_timm.plots.ranked import plot_ranked
from fdnm_timm.plots.spectra import plot_swap
from fdnm_timm.plots.tsne import plot_tsne
from fdnm_timm.saved import RankedQuery

from .test_tsne import samples


def test_no_pyplot_state():
    import matplotlib.pyplot as plt
    from PIL import Image
    before = plt.get_fignums()
    plot_swap(np.zeros((4, 4)), np.zeros((4, 4)))
    plot_tsne(samples(2, 1), ['embedding'])
    plot_ranked([RankedQuery(('a', 0, 1), [])], lambda path: Image.new('RGB', (4, 8)))
    assert plt.get_fignums() == before
