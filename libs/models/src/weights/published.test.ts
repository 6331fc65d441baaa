import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { architectures } from '../registry.ts';
import { PUBLISHED, readRecord, verifyPublished } from './published.ts';

const content = Buffer.from('weights');
const sha256 = createHash('sha256').update(content).digest('hex');
const other = 'f'.repeat(64);
const of = { repository: 'timm/some_net', architecture: 'some_net' };

let file: string;
beforeEach(async () => {
  file = join(await mkdtemp(join(tmpdir(), 'ct-ensemble-published-')), 'model.safetensors');
  await writeFile(file, content);
});

test('every architecture with published weights has an entry, and each digest is 64 hexadecimal digits', () => {
  const repositories = Object.values(architectures).flatMap(({ pretrained }) => pretrained?.repository ?? []);
  expect(Object.keys(PUBLISHED).sort()).toEqual([...new Set(repositories)].sort());
  for (const { sha256: pinned } of Object.values(PUBLISHED)) {
    if (pinned !== null) expect(pinned).toMatch(/^[0-9a-f]{64}$/);
  }
});

test('a file of which nothing is known is recorded, and refused once it has changed', async () => {
  const first = await verifyPublished(file, of);
  expect(first).toEqual({
    repository: of.repository,
    revision: 'not known',
    bytes: 7,
    sha256,
    trust: 'first-use',
  });
  expect(await readRecord(file)).toEqual(first);
  expect(await verifyPublished(file, of)).toEqual(first);
  await writeFile(file, 'Weights');
  await expect(verifyPublished(file, of)).rejects.toThrow(
    new RegExp(
      `^${file}: the file was changed: .* it was ${sha256} → npx nx run weights:fetch -- --architecture some_net`,
    ),
  );
});

test('a pinned file has the pinned digest, whatever the record says', async () => {
  expect(await verifyPublished(file, { ...of, pinned: sha256 })).toMatchObject({ trust: 'pinned' });
  await expect(verifyPublished(file, { ...of, pinned: other })).rejects.toThrow(
    `is not the file that timm/some_net published: its SHA-256 is ${sha256}, not ${other}`,
  );
  await rm(file.replace('.safetensors', '.json'));
  await expect(verifyPublished(file, { ...of, pinned: other })).rejects.toThrow(other);
  await expect(readFile(file.replace('.safetensors', '.json'))).rejects.toThrow('ENOENT');
});

test('a file that the user chose may differ from the pinned one', async () => {
  const record = {
    repository: of.repository,
    revision: 'given as a file',
    bytes: 7,
    sha256,
    trust: 'chosen',
  };
  await writeFile(file.replace('.safetensors', '.json'), JSON.stringify(record));
  expect(await verifyPublished(file, { ...of, pinned: other })).toEqual(record);
});
