"""PyTorch's side of a comparison: a process with one member, the peer of src/own-side.ts.

Its argument is its settings as JSON. For each line {"steps": n} on standard input it does n steps and prints one line. The tensors
are channels_last, PyTorch's fastest layout; the input is on the device as floats before the first step; the optimizer is
torch.optim.Adam, the loss the focal loss as the authors wrote it.
"""

import json
import math
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "libs" / "models" / "fixtures"))
from networks import network

settings = json.loads(sys.argv[1])
training = settings["task"] == "train"
batch, depth, size = settings["batch"], settings["depth"], settings["size"]
views = settings["views"]
on_gpu = settings["device"]["kind"] == "gpu"
device = torch.device(f"cuda:{settings['device']['index']}" if on_gpu else "cpu")
torch.set_num_threads(settings["threads"])
torch.backends.cudnn.benchmark = True
torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = settings["tf32"]


def read_safetensors(path):
    """Reads https://huggingface.co/docs/safetensors without the package: header length, JSON header, the tensors' bytes."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    types = {"F32": torch.float32, "I64": torch.int64, "U8": torch.uint8}

    def tensor(dtype, shape, data_offsets):
        count, offset = math.prod(shape), start + data_offsets[0]
        return torch.frombuffer(data, dtype=types[dtype], count=count, offset=offset).reshape(shape).clone()

    return {name: tensor(**entry) for name, entry in header.items()}


def peak_memory():
    """The process's peak resident memory in bytes (VmHWM); None where the system is not Linux."""
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
    except FileNotFoundError:
        return None


member = network(settings["architecture"], 1 if settings["architecture"].startswith("att_unet") else 2, views)
member.load_state_dict(read_safetensors(settings["weights"]), strict=True)
member.to(device, memory_format=torch.channels_last).train(training)
forward = torch.compile(member) if settings["compile"] else member
optimizer = torch.optim.Adam(member.parameters(), lr=1e-4)
volumes = read_safetensors(settings["volumes"])["volumes"][:batch]
x = (volumes.to(device).float() / 255).contiguous(memory_format=torch.channels_last)
del volumes
y = torch.arange(batch, device=device) % 2
is_mixed = settings["precision"] == "mixed"
mixed = torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_mixed)
compute = "bfloat16" if is_mixed else "float32"


def train():
    optimizer.zero_grad()
    with mixed:
        loss = loss_of(forward(x))
    loss.backward()
    optimizer.step()
    return [loss.item()]


def loss_of(output):
    if output.ndim == 4:
        target = (x.mean(1, keepdim=True) > 0.5).float()
        return torch.nn.functional.binary_cross_entropy_with_logits(output.float(), target)
    cross_entropy = torch.nn.functional.cross_entropy(output, y, reduction="none")
    return ((1 - torch.exp(-cross_entropy)) ** 1.5 * cross_entropy).mean()


def evaluate():
    with torch.inference_mode(), mixed:
        return torch.softmax(forward(x).float(), 1).flatten().tolist()


def say(message):
    print(json.dumps(message), flush=True)


place = torch.cuda.get_device_name(device) if on_gpu else "CPU"
say({"library": f"PyTorch {torch.__version__} on {place}"})
step = train if training else evaluate
for line in sys.stdin:
    for _ in range(json.loads(line)["steps"]):
        values = step()
    say({"values": values, "compute": compute, "cpu": time.process_time(), "peak": peak_memory()})
