// Out of memory is one EngineError that names the op, and the process can go on computing.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const REMEDY = '→ use a smaller batch, fewer members at once, or a device with more memory';

describe('out of memory', () => {
  const ask = async (way: string) => {
    const program = fileURLToPath(new URL('../fixtures/out-of-memory.mjs', import.meta.url));
    const env = { ...process.env, NODE_OPTIONS: '' };
    return JSON.parse(
      (await promisify(execFile)(process.execPath, [program, way], { env })).stdout,
    ) as object;
  };
  // TensorFlow waits ten seconds for other memory to be freed, so both processes are started at the same time.
  const both = ['eager', 'captured'].map(ask);

  it.each([
    ['eager', both[0], 'tf.matMul (BatchMatMulV2)'],
    ['captured', both[1], 'tf.matMul (BatchMatMulV2) inside a captured step'],
  ])('4 TB, %s', async (_way, asked, op) => {
    expect(await asked).toEqual({
      name: 'EngineError',
      code: 'out-of-memory',
      message: `${op}: OOM when allocating tensor with shape[1000000,1000000] and type float on CPU:0 ${REMEDY}`,
      left: 0,
      eager: 2,
      captured: 100,
    });
  });
});
