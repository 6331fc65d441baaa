import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { agreeOn, processState } from './process-state.ts';

const LAST = 1023; // unused by engines: it would be the 960th share of a GPU

afterEach(() => void Atomics.store(processState(), LAST, 0));

test('the first value holds, in every thread', async () => {
  expect(agreeOn(LAST, 3)).toBe(3);
  expect(agreeOn(LAST, 5)).toBe(3);
  const worker = new Worker(
    `import { parentPort } from 'node:worker_threads';
     import { agreeOn, processState } from ${JSON.stringify(new URL('../../dist/native/process-state.js', import.meta.url))};
     parentPort.postMessage(agreeOn(${LAST}, 7));
     Atomics.store(processState(), ${LAST}, 11);`,
    { eval: true },
  );
  const [[answer]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')]);
  expect(answer).toBe(3);
  expect(agreeOn(LAST, 5)).toBe(11); // the state outlives the thread
});

test('of many threads at once, one is first', async () => {
  const module = JSON.stringify(new URL('../../dist/native/process-state.js', import.meta.url));
  const script = `import { parentPort, workerData } from 'node:worker_threads';
    import { agreeOn } from ${module};
    parentPort.postMessage(agreeOn(${LAST}, workerData));`;
  const answers = await Promise.all(
    [1, 2, 3, 4].map(async (workerData) => {
      const worker = new Worker(script, { eval: true, workerData });
      const [[answer]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')]);
      return answer as number;
    }),
  );
  expect(new Set(answers).size).toBe(1);
  expect([1, 2, 3, 4]).toContain(answers[0]);
});
