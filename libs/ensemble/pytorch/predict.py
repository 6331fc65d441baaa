"""Predicts a prepared scan with the ensemble in this folder: python predict.py VOLUME.npy

Needs torch, torchvision, safetensors and numpy; for Inception-v4 and Inception-ResNet-v2 also timm. A volume is a NumPy file of
bytes, [slices, height, width], such as the files in the trainer's volume store. If the members see different volumes, give one file
for each entry of "inputs" in ensemble.json, in that order. Prints the probability of each class as JSON.
"""

import json
import sys
from pathlib import Path

import numpy
import torch
from safetensors.torch import load_file
from torchvision import models


def timm_model(name, classes):
    import timm

    return timm.create_model(name, num_classes=classes)


BACKBONES = {
    "densenet161": lambda classes: models.densenet161(num_classes=classes),
    "densenet_small": lambda classes: models.DenseNet(8, (2, 2, 2), 8, bn_size=2, num_classes=classes),
    "inception_v3": lambda classes: models.inception_v3(
        num_classes=classes, aux_logits=False, transform_input=True, init_weights=False
    ),
    "inception_v4": lambda classes: timm_model("inception_v4", classes),
    "inception_resnet_v2": lambda classes: timm_model("inception_resnet_v2", classes),
    "resnext50_32x4d": lambda classes: models.resnext50_32x4d(num_classes=classes),
}


class Member(torch.nn.Module):
    """The front, which reduces the slices of one or two views to three channels, and the backbone."""

    def __init__(self, views, backbone):
        super().__init__()
        self.views = views
        for i, channels in enumerate(views if len(views) == 1 else [*views, 6], 1):
            self.add_module(f"encoder{i}", torch.nn.Conv2d(channels, 3, kernel_size=3, padding=1))
        self.model = backbone

    def forward(self, volumes):
        first, *second = volumes.split(self.views, 1)
        x = torch.relu(self.encoder1(first))
        if second:
            x = torch.relu(self.encoder3(torch.cat((x, torch.relu(self.encoder2(second[0]))), 1)))
        return self.model(x)


def load(folder):
    """Returns the content of ensemble.json, and the members with their weights, in evaluation mode."""
    about = json.loads((Path(folder) / "ensemble.json").read_text(encoding="utf-8"))
    members = []
    for entry in about["members"]:
        member = Member(entry["views"], BACKBONES[entry["architecture"]](len(about["classes"])))
        member.load_state_dict(load_file(Path(folder) / entry["file"]), strict=True)
        members.append(member.eval())
    return about, members


@torch.inference_mode()
def predict(about, members, volumes):
    """Probabilities [batch, classes]. `volumes`: for each input's name its bytes, [batch, slices, height, width]."""
    images = {name: torch.as_tensor(volume).float() / 255 for name, volume in volumes.items()}
    rows = [torch.softmax(member(images[entry["input"]]), 1) for entry, member in zip(about["members"], members)]
    mean = sum(entry["weight"] * row for entry, row in zip(about["members"], rows))
    return mean if about["temperature"] is None else torch.softmax(mean.clamp(min=1e-12).log() / about["temperature"], 1)


if __name__ == "__main__":
    about, members = load(Path(__file__).parent)
    if len(sys.argv) - 1 != len(about["inputs"]):
        sys.exit(f"give {len(about['inputs'])} files: " + ", ".join(entry["name"] for entry in about["inputs"]))
    volumes = {entry["name"]: numpy.load(file)[None] for entry, file in zip(about["inputs"], sys.argv[1:])}
    print(json.dumps(dict(zip(about["classes"], predict(about, members, volumes)[0].tolist()))))
