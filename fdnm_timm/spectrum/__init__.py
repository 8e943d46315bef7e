"""Every complex number of the project: the 2-D transform, phase rotation, unit phasors and the exportable DFT.

Paper: FDNM, Eq. 1-3 and 5 - https://arxiv.org/abs/2401.02162

A *spectrum* is a real tensor (..., H, W//2+1, 2): the half spectrum of a real map (..., H, W), orthonormal, with the
real part at [..., 0] and the imaginary part at [..., 1]. Being real, it passes through compilers, scripts and exporters
that know no complex type. `exportable=True` keeps to real operations that every exporter has; the pointwise functions
take notice of it where no gradients are asked for. float32 and float64 are computed as they are, half types in float32.

What is done to a spectrum and the transform before or after it are one function, so that large maps can be worked off
in blocks that stay in a processor's cache, forwards and backwards (see `fused.in_blocks`).

On a CPU, maps that are channels_last have spectra that are so too, of the memory format (B, 2, H, W//2+1, C), and are
transformed by matrix products: an FFT would need them gathered to planes, and scattered again. So have all maps of a
network that torch.compile compiles there, whose convolutions are laid out like that anyway; it fuses the pointwise work
with its own, and finds the transforms as operators.

The pointwise functions have analytic backward passes. Autograd through `abs` and `angle` gives NaN or 0 * inf where the
amplitude is 0, which one dead ReLU channel is enough for; the true gradient of a rotation is bounded there.
"""
from ._functions import amplitude, analyse, irfft2, modulate_phasor, phasor, rfft2, rotate_phase

__all__ = ['amplitude', 'analyse', 'irfft2', 'modulate_phasor', 'phasor', 'rfft2', 'rotate_phase']
