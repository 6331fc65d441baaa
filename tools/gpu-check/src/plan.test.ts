import { readFileSync } from 'node:fs';
import { commandLine, planOf } from './plan.ts';

const options = { wheels: undefined, work: 'runs/gpu-check', python: undefined, parts: undefined };
const commands = (gpus: number, given = {}) =>
  Object.fromEntries(planOf({ ...options, ...given }, gpus).map((part) => [part.name, commandLine(part)]));

test('the plan has every promised part, the installation first', () => {
  const plan = planOf(options, 2);
  expect(plan[0]!.name).toBe('install');
  expect(new Set(plan.map(({ name }) => name)).size).toBe(plan.length);
  const all = Object.values(commands(2)).join('\n');
  for (const target of ['install --gpu', 'doctor', 'test', 'conformance', 'bench']) {
    expect(all).toContain(`nx run engine:${target}`);
  }
  expect(all).toContain('nx run trainer:all-members --devices gpu:0,gpu:1');
});

test('the nx targets of its commands exist', () => {
  const targetsOf = (file: string) => {
    const { nx } = JSON.parse(
      readFileSync(new URL(`../../../${file}/package.json`, import.meta.url), 'utf8'),
    );
    return Object.keys(nx.targets);
  };
  const projects: Record<string, string[]> = {
    engine: targetsOf('libs/engine'),
    trainer: targetsOf('apps/trainer'),
  };
  const named = planOf(options, 1).flatMap(({ command }) => (command[1] === 'nx' ? [command[3]!] : []));
  expect(named.length).toBeGreaterThan(5);
  for (const name of named) expect(projects[name.split(':')[0]!]).toContain(name.split(':')[1]);
});

test('on one GPU the parts for several are skipped, with the reason', () => {
  const skipped = planOf(options, 1).filter((part) => part.skipped !== undefined);
  expect(skipped.map(({ name }) => name)).toEqual(['every-gpu', 'ensemble-every-gpu']);
  expect(skipped[0]!.skipped).toBe('the machine has one GPU');
  expect(planOf(options, 3).filter((part) => part.skipped !== undefined)).toEqual([]);
  expect(commands(3)['every-gpu']).toContain('--left gpu:0,gpu:1,gpu:2 --right gpu:0');
});

test('options reach their parts, quoted for a shell', () => {
  const given = commands(1, { wheels: "/media/a wheel's", python: '/opt/torch/bin/python' });
  expect(given['install']).toBe(`npx nx run engine:install --gpu --wheels '/media/a wheel'\\''s'`);
  expect(given['bench']).toMatch(/ --python \/opt\/torch\/bin\/python$/);
  expect(given['conformance']).toMatch(
    /^CT_ENSEMBLE_CONFORMANCE_DEVICE=gpu:0 npx nx run engine:conformance /,
  );
});
