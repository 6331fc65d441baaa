// The program behind `nx run ensemble:simulate`: makespans of simulated runs beside their bounds, as a Markdown table.
import { print } from '@ct-ensemble/core';
import { GRIDS, gridSeconds, simulate } from './run/simulation.ts';

const LIMIT = 1.05;
const NOISES = [0, 0.03, 0.1];
const MEMBERS = Array.from({ length: 55 }, (_, i) => 6 + i);
const DEVICES = [1, 2, 3, 4, 5, 6, 7, 8];

print('| members of | actual durations | runs | mean | largest | above 1.05 |');
print('| --- | --- | --- | --- | --- | --- |');
const started = process.cpuUsage();
let members = 0;
for (const [grid, architectures] of Object.entries(GRIDS)) {
  for (const noise of NOISES) {
    const ratios: number[] = [];
    let above = 0;
    for (const devices of DEVICES) {
      for (const count of MEMBERS) {
        const seconds = gridSeconds(architectures, count);
        const { makespan, bound } = await simulate({ seconds, devices, noise, seed: count * 10 + devices });
        const ratio = makespan / bound;
        ratios.push(ratio);
        members += count;
        if (ratio > LIMIT) above++;
      }
    }
    const mean = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
    const actual = noise === 0 ? 'as expected' : `± ${noise * 100} %`;
    print(
      `| ${grid} | ${actual} | ${ratios.length} | ${mean.toFixed(4)} | ${Math.max(...ratios).toFixed(4)} | ${above} |`,
    );
  }
}
const { user, system } = process.cpuUsage(started);
print(`CPU time of scheduler and simulation: ${((user + system) / 1e3 / members).toFixed(2)} ms a member`);
