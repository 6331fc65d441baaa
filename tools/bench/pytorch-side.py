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
views = settings["views"]
on_gpu = settings["device"]["kind"] == "gpu"
device = torch.device(f"cuda:{settings['device']['index']}" if on_gpu else "cpu")
torch.set_num_threads(settings["threads"])
torch.backends.cudnn.benchmark = True
torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = settings["tf32"]


def timm_model(name):
    try:
        import timm
    except ImportError:
        sys.exit(f"{name} is timm's → {sys.executable} -m pip install timm")
    return timm.create_model(name, num_classes=2)


def inception_v3():
    return torchvision.models.inception_v3(
        num_classes=2, aux_logits=False, transform_input=True, init_weights=False, dropout=0.0
    )


NETWORKS = {
    "inception_v3": inception_v3,
    "inception_v4": lambda: timm_model("inception_v4"),
    "inception_resnet_v2": lambda: timm_model("inception_resnet_v2"),
    "resnext50_32x4d": lambda: torchvision.models.resnext50_32x4d(num_classes=2),
    "att_unet": lambda: attention_unet(),
    "densenet161": lambda: torchvision.models.densenet161(weights=None, num_classes=2),
    "densenet_small": lambda: torchvision.models.DenseNet(
        growth_rate=8, block_config=(2, 2, 2), num_init_features=8, bn_size=2, num_classes=2
    ),
}


if settings["architecture"] not in NETWORKS:
    sys.exit(f"pytorch-side.py has no {settings['architecture']}, only {', '.join(NETWORKS)}")


class OneView(torch.nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.encoder1 = torch.nn.Conv2d(depth, 3, kernel_size=3, padding=1)
        self.model = backbone

    def forward(self, x):
        return self.model(torch.relu(self.encoder1(x)))


class TwoViews(torch.nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.encoder1 = torch.nn.Conv2d(views[0], 3, kernel_size=3, padding=1)
        self.encoder2 = torch.nn.Conv2d(views[1], 3, kernel_size=3, padding=1)
        self.encoder3 = torch.nn.Conv2d(6, 3, kernel_size=3, padding=1)
        self.model = backbone

    def forward(self, x):
        one, two = x[:, : views[0]], x[:, views[0] :]
        both = torch.cat((torch.relu(self.encoder1(one)), torch.relu(self.encoder2(two))), 1)
        return self.model(torch.relu(self.encoder3(both)))


def attention_unet(widths=(64, 128, 256, 512, 1024)):
    """Oktay et al. 2018 as it is commonly written in PyTorch."""
    nn = torch.nn

    def unit(before, width):
        return [nn.Conv2d(before, width, 3, 1, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]

    def double(before, width):
        return nn.Sequential(*unit(before, width), *unit(width, width))

    def projection(before, width, *then):
        return nn.Sequential(nn.Conv2d(before, width, 1), nn.BatchNorm2d(width), *then)

    class UpConv(nn.Module):
        def __init__(self, before, width):
            super().__init__()
            self.up = nn.Sequential(nn.Upsample(scale_factor=2), *unit(before, width))

        def forward(self, x):
            return self.up(x)

    class Gate(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.W_g, self.W_x = projection(width, width // 2), projection(width, width // 2)
            self.psi = projection(width // 2, 1, nn.Sigmoid())

        def forward(self, g, x):
            return x * self.psi(torch.relu(self.W_g(g) + self.W_x(x)))

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            for i, width in enumerate(widths, 1):
                self.add_module(f"Conv{i}", double(widths[i - 2] if i > 1 else depth, width))
            for i in range(len(widths), 1, -1):
                width = widths[i - 2]
                self.add_module(f"Up{i}", UpConv(widths[i - 1], width))
                self.add_module(f"Att{i}", Gate(width))
                self.add_module(f"Up_conv{i}", double(2 * width, width))
            self.Conv_1x1 = nn.Conv2d(widths[0], 1, 1)

        def forward(self, x):
            levels = []
            for i in range(1, len(widths) + 1):
                level = levels[-1] if levels else None
                x = x if level is None else nn.functional.max_pool2d(level, 2)
                levels.append(getattr(self, f"Conv{i}")(x))
            x = levels[-1]
            for i in range(len(widths), 1, -1):
                g = getattr(self, f"Up{i}")(x)
                gated = getattr(self, f"Att{i}")(g, levels[i - 2])
                x = getattr(self, f"Up_conv{i}")(torch.cat((gated, g), 1))
            return self.Conv_1x1(x)

    return UNet()


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


backbone = NETWORKS[settings["architecture"]]()
member = {0: lambda model: model, 1: OneView, 2: TwoViews}[len(views)](backbone)
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
        loss = loss_of(member(x))
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
