// Speed of the intervals beside scikit-learn and scipy's `bootstrap` on the same vectors, taking turns, and the time of a whole ensemble.
// Run: npx nx run evaluation:bench -- --python PYTHON (with scikit-learn and scipy). Without --python: the whole ensemble only.
// On two idle cores it takes two to three minutes: about 20 s of CPU for each call of scipy with BCa, half a minute for each ensemble.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { predictionsOf, scoreIntervals } from '../dist/index.js';
import { rows } from './rows.mjs';

const { values } = parseArgs({
  options: {
    python: { type: 'string' },
    turns: { type: 'string', default: '2' },
    members: { type: 'string', default: '60' },
    scans: { type: 'string', default: '5000' },
    threads: { type: 'string', default: '2' },
  },
});

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
    { scans: 484, classes: 2, resamples: 100, method: 'BCa' },
    { scans: 484, classes: 4, resamples: 200, method: 'percentile' },
    { scans: 61, classes: 4, resamples: 100, method: 'BCa' },
    { scans: 5000, classes: 4, resamples: 200, method: 'percentile' },
  ];
  for (const { scans, classes, resamples, method } of cases) {
    const name = `${scans} scans, ${classes} classes, ${resamples} resamples, ${method}`;
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
    console.log(`${name}: least ratio ${Math.min(...ratios).toFixed(0)} (wanted: 20 or more)`);
  }
  rmSync(folder, { recursive: true });
}

const [members, scans, threads] = ['members', 'scans', 'threads'].map((name) => Number(values[name]));
for (const classes of [2, 4]) {
  const workers = Array.from({ length: threads }, (_, t) => {
    const own = Array.from({ length: members }, (_, m) => m).filter((m) => m % threads === t);
    const data = { members: own, scans, classes };
    return new Worker(new URL('members.mjs', import.meta.url), { workerData: data });
  });
  const next = (worker) =>
    new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  await Promise.all(workers.map(next));
  const cpu = process.cpuUsage();
  const start = performance.now();
  const done = Promise.all(workers.map(next));
  for (const worker of workers) worker.postMessage('start');
  await done;
  const wall = (performance.now() - start) / 1000;
  const used = process.cpuUsage(cpu);
  console.log(
    `${members} members × ${scans} scans, ${classes} classes, 2000 resamples, all scores, BCa, ${threads} threads: ${wall.toFixed(1)} s wall (wanted: below 60), ${((used.user + used.system) / 1e6).toFixed(1)} s CPU`,
  );
}
