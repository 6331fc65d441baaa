import { totalmem } from 'node:os';
import { listDevices, devicesOf } from './devices.ts';
import { openEngine, type Engine } from '../engine.ts';
import { Place, processState } from '../native/process-state.ts';

let engine: Engine | undefined;
afterEach(() => {
  engine?.close();
  engine = undefined;
});

describe('the list of devices', () => {
  test('has this machine and its memory, and leaves no trace in this process', async () => {
    const before = Array.from(processState());
    const [cpu] = await listDevices();
    expect(cpu).toMatchObject({ name: 'CPU:0', kind: 'cpu', index: 0 });
    expect(cpu!.memory).toBeGreaterThan(2 ** 28); // what TensorFlow says of every CPU
    expect(cpu!.memory).toBeLessThanOrEqual(totalmem());
    expect(Array.from(processState())).toEqual(before);
  });

  test('has the GPUs with what TensorFlow may take of them', () => {
    const name = (device: string) => `/job:localhost/replica:0/task:0/device:${device}`;
    const listed = [
      { fullName: name('CPU:0'), memory: 268435456 },
      { fullName: name('GPU:0'), memory: 148_000_000_000 },
      { fullName: name('GPU:10'), memory: 7 },
      { fullName: name('XLA_GPU:0'), memory: 1 },
    ];
    expect(devicesOf(listed).slice(1)).toEqual([
      { name: 'GPU:0', kind: 'gpu', index: 0, memory: 148_000_000_000 },
      { name: 'GPU:10', kind: 'gpu', index: 10, memory: 7 },
    ]);
  });
});

test('a memory limit of a CPU is refused, and nothing stays open', async () => {
  const limited = openEngine({ device: { kind: 'cpu', index: 0, memoryLimit: 2 ** 30 } });
  await expect(limited).rejects.toThrow(/memoryLimit is for GPUs/);
  engine = await openEngine();
  expect(engine.notes).toEqual([]);
});

test('a missing GPU is rejected, and does not fix the division of GPUs', async () => {
  const hasGpu = (await listDevices()).some(({ kind }) => kind === 'gpu');
  await expect(openEngine({ device: { kind: 'gpu', index: 77 } })).rejects.toThrow(/no device gpu:77/);
  expect(Atomics.load(processState(), Place.GPU_SHARE) !== 0).toBe(hasGpu);
});

test('an engine that asks for another number of threads than the process has gets a note', async () => {
  engine = await openEngine();
  engine.close();
  const held = Atomics.load(processState(), Place.THREADS);
  engine = await openEngine({ device: { kind: 'cpu', index: 0, threads: held } });
  expect(engine.notes).toEqual([]);
  engine.close();
  engine = await openEngine({ device: { kind: 'cpu', index: 0, threads: held + 1 } });
  expect(engine.notes).toEqual([
    expect.stringMatching(
      new RegExp(`^asked for ${held + 1} CPU threads but computes with ${held}: .*processes`),
    ),
  ]);
});

describe('switches of the process', () => {
  afterEach(() => {
    for (const place of [Place.TF32, Place.DETERMINISTIC]) Atomics.store(processState(), place, 0);
  });

  test('get a note if they change what an earlier engine set, and persist', async () => {
    engine = await openEngine();
    expect([engine.notes, engine.description]).toEqual([[], 'TensorFlow 2.21.0 on CPU:0']);
    engine.close();
    engine = await openEngine({ deterministic: true, tf32: true });
    expect(engine.description).toBe('TensorFlow 2.21.0 on CPU:0, deterministic ops');
    expect(engine.notes).toEqual([
      'determinism is now on for every engine of this process',
      'tf32 is now on for every engine of this process',
    ]);
    engine.close();
    engine = await openEngine();
    expect([engine.notes, engine.description]).toEqual([[], 'TensorFlow 2.21.0 on CPU:0, deterministic ops']);
    engine.close();
    engine = await openEngine({ deterministic: false, tf32: false });
    expect(engine.notes).toHaveLength(2);
  });
});
