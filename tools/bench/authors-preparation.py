# The authors' preparation of scans without its networks (2nd-COV19D-Competition, PrepareDataset.py and
# Prepare_Dataset.py of the severity task): the same calls of torchvision, albumentations and OpenCV in the same order.
# Every slice counts as lung and every mask is full. Answers each line {"task": …, "scans": [[file, …], …]} on standard input
# with a line {"seconds": S}.
import json
import os
import sys
import tempfile
import time

import albumentations as A
import cv2
import numpy as np
import torch
import torchvision.transforms as transforms
from albumentations.pytorch import ToTensorV2

filter_transform = transforms.Compose([
    transforms.ToPILImage(mode="RGB"),
    transforms.Resize((224, 224)),
    transforms.CenterCrop(224),
    transforms.ToTensor(),
])
mask_transform = A.Compose([
    A.Resize(height=224, width=224),
    A.Normalize(mean=[0.0, 0.0, 0.0], std=[1.0, 1.0, 1.0], max_pixel_value=255.0),
    ToTensorV2(),
])


def full_mask(image):
    mask_transform(image=image)["image"].float().unsqueeze(dim=0)
    return np.ones((224, 224, 1), np.uint8)


def gray(image, edge):
    return cv2.cvtColor(cv2.resize(image, (edge, edge), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)


def detection(image):
    """Grey, masked and masked + equalised, each 512 × 512."""
    y = cv2.dilate(full_mask(image) * 255, np.ones((5, 5), np.uint8), iterations=1)
    y = np.expand_dims(y, 2)
    y[y > 0.0] = 1.0
    y = cv2.resize(y, (512, 512), interpolation=cv2.INTER_AREA)
    lung = cv2.cvtColor(np.stack((y, y, y), axis=2) * image, cv2.COLOR_BGR2GRAY)
    return [gray(image, 512), lung, cv2.equalizeHist(lung)]


def severity(image):
    """Grey and masked + equalised with two borders, each 224 × 224."""
    mask = full_mask(image)
    arrays = []
    for edge in (5, 3):
        y = cv2.morphologyEx(mask * 255, cv2.MORPH_GRADIENT, np.ones((edge, edge), np.uint8))
        y = mask + np.expand_dims(y, 2)
        y[y > 0.0] = 1.0
        arrays.append(cv2.equalizeHist(cv2.resize(y, (224, 224), interpolation=cv2.INTER_AREA) * gray(image, 224)))
    return [gray(image, 224), *arrays]


def prepare(files, work, folder):
    slices = []
    for file in files:
        image = cv2.imread(file)
        filter_transform(image).float().unsqueeze(dim=0)
        slices.append([np.expand_dims(array, 2) for array in work(image)])
    for k, name in enumerate(("", "_lung", "_lung2")):
        np.save(os.path.join(folder, f"0{name}.npy"), np.concatenate([each[k] for each in slices], axis=2))


torch.set_num_threads(int(os.environ.get("THREADS", "2")))
cv2.setNumThreads(int(os.environ.get("THREADS", "2")))
works = {"detection": detection, "severity": severity}
with tempfile.TemporaryDirectory() as folder:
    for line in sys.stdin:
        task = json.loads(line)
        start = time.perf_counter()
        for files in task["scans"]:
            prepare(files, works[task["task"]], folder)
        print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)
