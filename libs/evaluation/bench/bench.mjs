// Speed of the intervals beside scikit-learn and scipy's `bootstrap` on the same vectors, taking turns, and the time of a whole ensemble.
// Run: npx nx run evaluation:bench -- --python PYTHON (with scikit-learn and scipy). Without --python: the whole ensemble only.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { randomStream } from '@ct-ensemble/core';
import { drawResamples, predictionsOf, scoreIntervals } from '../dist/index.js';

const { values } = parseArgs({
  options: {
    python: { type: 'string' },
    turns: { type: 'string', default: '3' },
    members: { type: 'string', default: '60' },
  },
});

/** Predictions that favour the true class. */
function rows(scans, classes, sample) {
  const random = randomStream({ seed: 1, purpose: 'bench', sample });
  const labels = Array.from({ length: scans }, (_, i) => i % classes);
  const probabilities = labels.map((label) => {
    const row = Array.from({ length: classes }, (_, k) =>
      Math.exp(random.normal() + (k === label ? 1.2 : 0)),
    );
    const sum = row.reduce((a, b) => a + b);
    return row.map((x) => x / sum);
  });
  return { classes, labels, probabilities };
}

/** Wall and CPU seconds of a call. */
function timed(body) {
  const cpu = process.cpuUsage();
  const start = performance.now();
  body();
  const used = process.cpuUsage(cpu);
  return { wall: (performance.now() - start) / 1000, cpu: (used.user + used.system) / 1e6 };
}

if (values.python !== undefined) {
  const folder = mkdtempSync(join(tmpdir(), 'evaluation-bench-'));
  const script = fileURLToPath(new URL('sklearn-side.py', import.meta.url));
  const cases = [
    {
      name: '484 scans, 2 classes, 200 resamples, BCa',
      scans: 484,
      classes: 2,
      resamples: 200,
      method: 'BCa',
    },
    {
      name: '61 scans, 4 classes, 1000 resamples, BCa',
      scans: 61,
      classes: 4,
      resamples: 1000,
      method: 'BCa',
    },
    {
      name: '5000 scans, 4 classes, 50 resamples, percentile',
      scans: 5000,
      classes: 4,
      resamples: 50,
      method: 'percentile',
    },
  ];
  for (const { name, scans, classes, resamples, method } of cases) {
    const input = rows(scans, classes, 0);
    const file = join(folder, 'rows.json');
    writeFileSync(file, JSON.stringify(input));
    const p = predictionsOf(input);
    scoreIntervals(p, { seed: 0, resamples: 50 }); // the just-in-time compiler's warm-up; Python's import is not counted either
    const ratios = [];
    for (let turn = 0; turn < Number(values.turns); turn++) {
      let ours;
      const time = timed(() => (ours = scoreIntervals(p, { seed: turn, resamples })));
      const python = JSON.parse(
        execFileSync(values.python, [script, file, String(resamples), method], { encoding: 'utf8' }),
      );
      const { macroF1 } = ours.scores;
      const [low, high] = method === 'BCa' ? macroF1.interval : macroF1.percentile;
      ratios.push(python.cpu / time.cpu);
      console.log(
        `${name}: here ${time.cpu.toFixed(3)} s CPU (${time.wall.toFixed(3)} s wall), scipy ${python.cpu.toFixed(2)} s CPU (${python.wall.toFixed(2)} s wall), ratio ${ratios.at(-1).toFixed(0)}; macro F1 ${low.toFixed(4)} … ${high.toFixed(4)}, scipy ${python.macroF1.map((x) => x.toFixed(4)).join(' … ')}`,
      );
    }
    ratios.sort((a, b) => a - b);
    console.log(`${name}: median ratio ${ratios[ratios.length >> 1].toFixed(0)}`);
  }
  rmSync(folder, { recursive: true });
}

for (const classes of [2, 4]) {
  const members = Array.from({ length: Number(values.members) }, (_, m) =>
    predictionsOf(rows(5000, classes, m)),
  );
  const { wall, cpu } = timed(() => {
    const resamples = drawResamples({ patients: 5000, seed: 1 });
    for (const p of members) scoreIntervals(p, { resamples });
  });
  console.log(
    `${members.length} members × 5000 scans, ${classes} classes, 2000 resamples, all scores, BCa, one thread: ${cpu.toFixed(1)} s CPU, ${wall.toFixed(1)} s wall`,
  );
}
