"""PyTorch's side of a comparison, a process of one member: the peer of src/own-side.ts.

Its argument is its settings; each line {"steps": n} on standard input has it do that many steps. channels_last, PyTorch's
best layout; the input is ready as floats on the device; torch.optim.Adam; focal loss as the authors wrote it.
"""

import json
import math
import sys
import time

import torch
import torchvision

settings = json.loads(sys.argv[1])
training = settings["task"] == "train"
batch, depth, size = settings["batch"], settings["depth"], settings["size"]
on_gpu = settings["device"]["kind"] == "gpu"
device = torch.device(f"cuda:{settings['device']['index']}" if on_gpu else "cpu")
torch.set_num_threads(settings["threads"])
torch.backends.cudnn.benchmark = True
torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = settings["tf32"]

NETWORKS = {
    "densenet161": lambda: torchvision.models.densenet161(weights=None, num_classes=2),
    "densenet_small": lambda: torchvision.models.DenseNet(
        growth_rate=8, block_config=(2, 2, 2), num_init_features=8, bn_size=2, num_classes=2
    ),
}


if settings["architecture"] not in NETWORKS:
    sys.exit(f"pytorch-side.py has no {settings['architecture']}, only {', '.join(NETWORKS)}")


class Member(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder1 = torch.nn.Conv2d(depth, 3, kernel_size=3, padding=1)
        self.model = NETWORKS[settings["architecture"]]()

    def forward(self, x):
        return self.model(torch.relu(self.encoder1(x)))


def read_safetensors(path):
    """https://huggingface.co/docs/safetensors: header length, JSON header, the tensors' bytes."""
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
    """VmHWM: the most physical memory this process has held, bytes. Only Linux tells."""
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
    except FileNotFoundError:
        return None


member = Member()
member.load_state_dict(read_safetensors(settings["weights"]), strict=True)
member.to(device, memory_format=torch.channels_last).train(training)
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
        cross_entropy = torch.nn.functional.cross_entropy(member(x), y, reduction="none")
        loss = ((1 - torch.exp(-cross_entropy)) ** 1.5 * cross_entropy).mean()
    loss.backward()
    optimizer.step()
    return [loss.item()]


def evaluate():
    with torch.inference_mode(), mixed:
        return torch.softmax(member(x).float(), 1).flatten().tolist()


def say(message):
    print(json.dumps(message), flush=True)


place = torch.cuda.get_device_name(device) if on_gpu else "CPU"
say({"library": f"PyTorch {torch.__version__} on {place}"})
step = train if training else evaluate
for line in sys.stdin:
    for _ in range(json.loads(line)["steps"]):
        values = step()
    say({"values": values, "compute": compute, "cpu": time.process_time(), "peak": peak_memory()})
