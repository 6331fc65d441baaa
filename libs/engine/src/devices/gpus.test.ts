// Counting GPUs from the files of a fake driver and CUDA_VISIBLE_DEVICES, whose rules CUDA's programming guide gives.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { visibleGpus } from './gpus.ts';

const roots: string[] = [];
afterAll(() => roots.forEach((root) => rmSync(root, { recursive: true })));

/** A machine whose driver knows so many GPUs, and that has so many device files. */
function machine(known: number, files: number): string {
  const root = mkdtempSync(join(tmpdir(), 'gpus-'));
  roots.push(root);
  for (let i = 0; i < known; i++)
    mkdirSync(join(root, `proc/driver/nvidia/gpus/0000:0${i}:00.0`), { recursive: true });
  mkdirSync(join(root, 'dev'));
  for (const name of ['nvidiactl', 'nvidia-uvm', ...Array.from({ length: files }, (_, i) => `nvidia${i}`)])
    writeFileSync(join(root, 'dev', name), '');
  return root;
}

test.each([
  { known: 0, files: 0, visible: undefined, count: 0 },
  { known: 4, files: 4, visible: undefined, count: 4 },
  { known: 8, files: 2, visible: undefined, count: 2 }, // a container with two of eight GPUs
  { known: 4, files: 4, visible: '', count: 0 },
  { known: 4, files: 4, visible: '-1', count: 0 },
  { known: 4, files: 4, visible: '2,3', count: 2 },
  { known: 4, files: 4, visible: ' 0, 1 ,3', count: 3 },
  { known: 4, files: 4, visible: '0,-1,1', count: 1 },
  { known: 4, files: 4, visible: '0,9,1', count: 1 }, // there is no GPU 9
  { known: 4, files: 4, visible: 'NoDevFiles', count: 0 },
  { known: 4, files: 4, visible: 'GPU-8932f937-d72c,GPU-1d5a61b2', count: 2 },
  { known: 1, files: 1, visible: 'MIG-4b2c9a1e,MIG-77aa', count: 1 },
])(
  '$known GPUs, $files device files, CUDA_VISIBLE_DEVICES=$visible: $count',
  ({ known, files, visible, count }) => {
    const saved = process.env['CUDA_VISIBLE_DEVICES'];
    if (visible === undefined) delete process.env['CUDA_VISIBLE_DEVICES'];
    else process.env['CUDA_VISIBLE_DEVICES'] = visible;
    try {
      expect(visibleGpus({ root: machine(known, files) })).toBe(count);
    } finally {
      if (saved === undefined) delete process.env['CUDA_VISIBLE_DEVICES'];
      else process.env['CUDA_VISIBLE_DEVICES'] = saved;
    }
  },
);
