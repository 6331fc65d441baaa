# The same intervals with scikit-learn's scores and scipy's bootstrap. Arguments: rows.json, resamples, method. Prints JSON.
import json
import sys
import time
import warnings

import numpy as np
from scipy.stats import bootstrap
from sklearn import metrics

warnings.filterwarnings("ignore")
rows = json.load(open(sys.argv[1]))
labels = np.array(rows["labels"])
probabilities = np.array(rows["probabilities"])
classes = list(range(rows["classes"]))


def calibration_error(y, p, right, bins=15):
    confidence = p.max(1)
    bin_of = np.clip(np.searchsorted(np.arange(bins + 1) / bins, confidence, side="left") - 1, 0, bins - 1)
    return np.abs(np.bincount(bin_of, right - confidence, bins)).sum() / len(y)


def scores(index):
    y, p = labels[index], probabilities[index]
    called = p.argmax(1)
    one = [metrics.roc_auc_score(y == k, p[:, k]) for k in classes]
    ap = [metrics.average_precision_score(y == k, p[:, k]) for k in classes]
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(y, called, labels=classes, zero_division=0)
    return np.array(
        [
            f1.mean(),
            metrics.balanced_accuracy_score(y, called),
            metrics.accuracy_score(y, called),
            np.mean(one),
            np.mean(ap),
            metrics.log_loss(y, p, labels=classes),
            ((p - np.eye(len(classes))[y]) ** 2).sum(1).mean(),
            calibration_error(y, p, (called == y).astype(float)),
            metrics.matthews_corrcoef(y, called),
            metrics.cohen_kappa_score(y, called),
            metrics.cohen_kappa_score(y, called, weights="quadratic"),
        ]
    )


start, cpu = time.perf_counter(), time.process_time()
result = bootstrap(
    (np.arange(len(labels)),), scores, n_resamples=int(sys.argv[2]), method=sys.argv[3], vectorized=False, rng=1
)
interval = result.confidence_interval
print(
    json.dumps(
        {
            "wall": time.perf_counter() - start,
            "cpu": time.process_time() - cpu,
            "macroF1": [float(interval.low[0]), float(interval.high[0])],
        }
    )
)
