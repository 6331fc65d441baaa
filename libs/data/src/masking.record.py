# Records fixtures/masks.json with OpenCV: dilation, and the sum of mask and gradient in 8 bits that overflows.
import json

import cv2
import numpy as np

random = np.random.default_rng(6)
cases = []
for height, width, edge in ((9, 12, 3), (14, 11, 5), (6, 7, 5)):
    mask = (cv2.GaussianBlur(random.random((height, width)), (5, 5), 0) > 0.5).astype(np.uint8)
    kernel = np.ones((edge, edge), np.uint8)
    total = mask + cv2.morphologyEx(mask * 255, cv2.MORPH_GRADIENT, kernel)
    rows = lambda image: ["".join(map(str, row)) for row in image]
    cases.append({
        "edge": edge,
        "mask": rows(mask),
        "dilated": rows(cv2.dilate(mask, kernel)),
        "overflow": rows((total > 0).astype(np.uint8)),
    })
print(json.dumps({"opencv": cv2.__version__, "cases": cases}, indent=1))
