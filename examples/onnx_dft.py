"""ONNX's DFT node against matrix products: `python examples/onnx_dft.py`.

Times a 2-D transform of maps in onnxruntime, once made of two DFT nodes and once of the matrix products that `fdnm
export` writes in their place, and holds both against NumPy's FFT in double precision. The maps have the shape of those
that the first AGP of `fdnm_resnet50` gets from images of 384x192 pixels. Needs the `export` extra: `pip install
"fdnm_timm[export]"`.
"""
import argparse
import time
import warnings
from typing import Tuple

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper

from fdnm_timm import spectrum


class Transform(torch.nn.Module):
    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return spectrum.rfft2(maps, exportable=True)


def by_products(shape: Tuple[int, ...]) -> bytes:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')
        program = torch.onnx.export(
            Transform(), (torch.zeros(shape),), dynamo=True, input_names=['maps'], output_names=['spectrum'],
            verbose=False)
    assert program is not None
    return program.model_proto.SerializeToString()


def by_dft_nodes(shape: Tuple[int, ...]) -> bytes:
    nodes = [
        helper.make_node('Unsqueeze', ['maps', 'last'], ['real']),
        helper.make_node('DFT', ['real', '', 'w'], ['half'], onesided=1),
        helper.make_node('DFT', ['half', '', 'h'], ['whole']),
        helper.make_node('Mul', ['whole', 'scale'], ['spectrum']),
    ]
    constants = [
        helper.make_tensor('last', onnx.TensorProto.INT64, [1], [4]),
        helper.make_tensor('w', onnx.TensorProto.INT64, [], [3]),
        helper.make_tensor('h', onnx.TensorProto.INT64, [], [2]),
        helper.make_tensor('scale', onnx.TensorProto.FLOAT, [], [(shape[2] * shape[3]) ** -0.5]),
    ]
    maps = helper.make_tensor_value_info('maps', onnx.TensorProto.FLOAT, shape)
    out = helper.make_tensor_value_info(
        'spectrum', onnx.TensorProto.FLOAT, [*shape[:3], shape[3] // 2 + 1, 2])
    graph = helper.make_graph(nodes, 'dft', [maps], [out], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid('', 20)], ir_version=9).SerializeToString()


def timed(model: bytes, maps: np.ndarray, threads: int, repeats: int) -> Tuple[np.ndarray, float]:
    """The result, and the best of some times in seconds."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=['CPUExecutionProvider'])
    taken = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        result = session.run(None, {'maps': maps})[0]
        taken.append(time.perf_counter() - begin)
    return result, min(taken[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--shape', type=int, nargs=4, default=[1, 256, 96, 48], metavar=('B', 'C', 'H', 'W'))
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--repeats', type=int, default=3)
    args = parser.parse_args()
    maps = np.random.default_rng(0).standard_normal(args.shape).astype(np.float32)
    exact = np.fft.rfft2(maps.astype(np.float64), norm='ortho')
    for name, model in (('matrix products', by_products(args.shape)), ('DFT nodes', by_dft_nodes(args.shape))):
        result, seconds = timed(model, maps, args.threads, args.repeats)
        error = np.abs(result - np.stack((exact.real, exact.imag), axis=-1)).max()
        print(f'{name + ":":<16} {seconds * 1e3:7.1f} ms, largest error {error:.1e}')


if __name__ == '__main__':
    main()
