"""The Python sides of bench:predict, the peers of src/predict-own.ts: PyTorch, eager or compiled, and ONNX Runtime.

The argument is the settings as JSON. Prints one line of JSON for the scan when it starts, and one for each line on standard input.
Slices are decoded by OpenCV and resized by Pillow, as in the authors' code; every slice is decoded, and `depth` evenly spaced ones
make the volume. PyTorch runs in channels_last, its fastest layout; every side uses the same number of threads.
"""

import json
import sys
import time
from pathlib import Path

import cv2
import numpy
from PIL import Image

settings = json.loads(sys.argv[1])
depth, size, threads = settings["depth"], settings["size"], settings["threads"]
cv2.setNumThreads(threads)


def prepare():
    files = settings["slices"]
    images = [cv2.imread(file, cv2.IMREAD_GRAYSCALE) for file in files]
    chosen = [i * len(files) // depth for i in range(depth)]
    slices = [Image.fromarray(images[i]).resize((size, size), Image.Resampling.BILINEAR) for i in chosen]
    return numpy.stack([numpy.asarray(image) for image in slices])


def pytorch():
    import torch

    sys.path.insert(0, str(Path(__file__).parents[2] / "libs" / "models" / "fixtures"))
    from networks import network
    from safetensors.torch import load_file

    torch.set_num_threads(threads)
    members = []
    for file in settings["weights"]:
        member = network(settings["architecture"], settings["classes"], [depth])
        member.load_state_dict(load_file(file), strict=True)
        member = member.to(memory_format=torch.channels_last).eval()
        members.append(torch.compile(member) if settings["side"] == "pytorch-compiled" else member)

    @torch.inference_mode()
    def forward(volume):
        x = (torch.from_numpy(volume)[None].float() / 255).contiguous(memory_format=torch.channels_last)
        return torch.stack([torch.softmax(member(x), 1)[0] for member in members]).mean(0).tolist()

    return f"PyTorch {torch.__version__}", forward


def onnx_runtime():
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(settings["onnx"], options, providers=["CPUExecutionProvider"])

    def forward(volume):
        return session.run(["probabilities"], {"volume": volume[None]})[0][0].tolist()

    return f"ONNX Runtime {onnxruntime.__version__}", forward


def clocks():
    return time.perf_counter(), time.process_time()


def answer():
    begun = clocks()
    volume = prepare()
    prepared = clocks()
    probabilities = forward(volume)
    ended = clocks()
    print(
        json.dumps(
            {
                "library": library,
                "prepare": prepared[0] - begun[0],
                "forward": ended[0] - prepared[0],
                "prepareCpu": prepared[1] - begun[1],
                "forwardCpu": ended[1] - prepared[1],
                "cpu": ended[1],
                "probabilities": probabilities,
                "mean": float(volume.mean()),
            }
        ),
        flush=True,
    )


library, forward = onnx_runtime() if settings["side"] == "onnx" else pytorch()
answer()
for line in sys.stdin:
    answer()
