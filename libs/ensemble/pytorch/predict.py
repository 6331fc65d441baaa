"""python predict.py VOLUME.npy … prints the probability of each class. See docs/onnx.md for what it needs and what a volume is."""
import importlib, json, sys
from pathlib import Path
import numpy, torch
from safetensors.torch import load_file

folder = Path(__file__).parent
about = json.loads((folder / "ensemble.json").read_text(encoding="utf-8"))
names = [entry["name"] for entry in about["inputs"]]
if len(sys.argv) - 1 != len(names): sys.exit(f"give {len(names)} files: " + ", ".join(names))
volumes = {name: torch.from_numpy(numpy.load(file))[None].float() / 255 for name, file in zip(names, sys.argv[1:])}
mean = 0
for member in about["members"]:
    module, function = member["backbone"].rsplit(".", 1)
    backbone = getattr(importlib.import_module(module), function)(**member["arguments"]).eval()
    weights = load_file(folder / member["file"])
    backbone.load_state_dict({key.removeprefix("model."): value for key, value in weights.items() if key.startswith("model.")})
    front = lambda i, x: torch.conv2d(x, weights[f"encoder{i}.weight"], weights[f"encoder{i}.bias"], padding=1).relu()
    with torch.inference_mode():
        views = [front(i, view) for i, view in enumerate(volumes[member["input"]].split(member["views"], 1), 1)]
        mean += member["weight"] * backbone(front(3, torch.cat(views, 1)) if len(views) == 2 else views[0]).softmax(1)
if about["temperature"]: mean = (mean.clamp(min=1e-12).log() / about["temperature"]).softmax(1)
print(json.dumps(dict(zip(about["classes"], mean[0].tolist()))))
