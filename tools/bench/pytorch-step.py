"""One training step of conv block + a torchvision network, timed: the peer of src/own-step.ts.

One step for every line on standard input, each answered by a JSON line. channels_last, PyTorch's best layout on CPUs; focal loss as the authors
wrote it; torch.optim.Adam.
"""
import argparse
import json
import sys
import time

import torch
import torchvision

parser = argparse.ArgumentParser()
for name, default in (("batch", 4), ("size", 224), ("depth", 64), ("threads", 2)):
    parser.add_argument(f"--{name}", type=int, default=default)
parser.add_argument("--architecture", default="densenet161")
args = parser.parse_args()
torch.set_num_threads(args.threads)
torch.manual_seed(1)


class Member(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder1 = torch.nn.Conv2d(args.depth, 3, 3, padding=1)
        self.model = getattr(torchvision.models, args.architecture)(weights=None)
        self.model.classifier = torch.nn.Linear(self.model.classifier.in_features, 2)

    def forward(self, x):
        return self.model(torch.relu(self.encoder1(x)))


member = Member().to(memory_format=torch.channels_last).train()
optimizer = torch.optim.Adam(member.parameters(), lr=1e-4)
x = torch.rand(args.batch, args.depth, args.size, args.size).contiguous(memory_format=torch.channels_last)
y = torch.arange(args.batch) % 2


def step():
    optimizer.zero_grad()
    cross_entropy = torch.nn.functional.cross_entropy(member(x), y, reduction="none")
    loss = ((1 - torch.exp(-cross_entropy)) ** 1.5 * cross_entropy).mean()
    loss.backward()
    optimizer.step()
    return loss.item()


# One step for every line on standard input.
print(f"PyTorch {torch.__version__}", flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    loss = step()
    print(json.dumps({"seconds": time.perf_counter() - start, "loss": loss}), flush=True)
