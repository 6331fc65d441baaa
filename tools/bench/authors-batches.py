# The authors' training batches of the detection task (2nd-COV19D-Competition, Train_Val_Denesent.py): their Dataset's
# __getitem__ and transforms, and PyTorch's DataLoader. First makes the scans for both sides; then answers each line
# {"workers": N} on standard input with a line {"seconds": S}, the time of a batch of 16.
# Needs albumentations 1.3 and OpenCV 4. Usage: python authors-batches.py FOLDER [FOLDER WITH FOLDERS OF SLICES K.jpg]
import json
import os
import sys
import time

import albumentations as A
import cv2
import numpy as np
import torch
import torch.nn.functional as F
from albumentations.pytorch import ToTensorV2
from torch.utils import data

SCANS = 16

transform = A.ReplayCompose([
    A.Resize(height=224, width=224),
    A.Rotate(limit=35, p=1.0),
    A.HorizontalFlip(p=0.5),
    A.VerticalFlip(p=0.1),
    A.VerticalFlip(p=0.1),
    A.Blur(blur_limit=(3, 3), p=0.2),
    A.MultiplicativeNoise(multiplier=1.5, p=0.2),
    A.MultiplicativeNoise(multiplier=0.5, p=0.2),
    A.Normalize(mean=[0.0], std=[1.0], max_pixel_value=255.0),
    ToTensorV2(),
])


class Scans(data.Dataset):
    def __init__(self, folder, count):
        self.folder = folder
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        labels = np.load(os.path.join(self.folder, "labels.npy"))[index % SCANS]
        X = np.load(os.path.join(self.folder, f"{index % SCANS}.npy"))
        Xs = []
        first = transform(image=np.expand_dims(X[:, :, 0], 2))
        Xs.append(first["image"])
        for i in range(X.shape[2] - 1):
            again = A.ReplayCompose.replay(first["replay"], image=np.expand_dims(X[:, :, i + 1], 2))
            Xs.append(again["image"])
        Xs = torch.stack(Xs).squeeze(dim=1)
        return F.interpolate(Xs.unsqueeze(dim=0).unsqueeze(dim=0), [64, 224, 224]), labels


def phantoms():
    """Scans of 512 x 512 x about 120: a body with two lungs whose size changes from slice to slice, and noise."""
    y, x = np.mgrid[0:512, 0:512].astype(np.float32)
    for seed in range(SCANS):
        random = np.random.default_rng(seed)
        slices = []
        for z in np.linspace(-1, 1, int(random.integers(100, 141))):
            body = np.hypot((x - 256) / 230, (y - 256) / 170) < 1
            lung = sum(np.hypot((x - at) / 80, (y - 256) / 110) < np.sqrt(1 - 0.9 * z * z) for at in (150, 362))
            noise = random.normal(0, 12, (512, 512)).astype(np.float32)
            slices.append(np.clip(body * 150 - lung * 120 + noise, 0, 255).astype(np.uint8))
        yield np.stack(slices, 2)


def series(folder):
    """Each folder of slices as a scan; the folders are repeated in turn until there are 16."""
    found = []
    for at, _, names in sorted(os.walk(folder)):
        names = sorted((n for n in names if n[:-4].isdigit() and n.endswith(".jpg")), key=lambda n: int(n[:-4]))
        if len(names) >= 64:
            found.append([os.path.join(at, name) for name in names])
    if not found:
        sys.exit(f"{folder}: holds no folder of at least 64 slices K.jpg")
    for i in range(SCANS):
        yield np.stack([cv2.imread(name, cv2.IMREAD_GRAYSCALE) for name in found[i % len(found)]], 2)


def make(folder, scans):
    """Writes the scans as the authors store them, and as volumes of 64 x 224 x 224 for this project's store."""
    os.makedirs(os.path.join(folder, "store"))
    np.save(os.path.join(folder, "labels.npy"), np.arange(SCANS) % 2)
    depths = []
    for i, scan in enumerate(scans):
        np.save(os.path.join(folder, f"{i}.npy"), np.ascontiguousarray(scan))
        depth = scan.shape[2]
        depths.append(depth)
        planes = [cv2.resize(scan[:, :, k * depth // 64], (224, 224)) for k in range(64)]
        np.save(os.path.join(folder, "store", f"{i}.npy"), np.stack(planes))
    return depths


folder = sys.argv[1]
depths = make(folder, series(sys.argv[2]) if len(sys.argv) > 2 else phantoms())
versions = dict(albumentations=A.__version__, opencv=cv2.__version__, torch=torch.__version__)
print(json.dumps(dict(depths=depths, versions=versions)), flush=True)
for line in sys.stdin:
    workers = json.loads(line)["workers"]
    batches = max(1, workers)  # each worker loads a whole batch
    loader = data.DataLoader(Scans(folder, SCANS * batches), batch_size=SCANS, num_workers=workers)
    start = time.perf_counter()
    for images, labels in loader:
        images = images.squeeze(dim=1).squeeze(dim=1).float()
    print(json.dumps(dict(seconds=(time.perf_counter() - start) / batches)), flush=True)
