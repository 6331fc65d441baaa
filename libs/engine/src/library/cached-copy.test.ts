import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { damageOf, type LibrarySource, recordVerification, verifyCopy } from './cached-copy.ts';

const TIME = new Date('2026-01-01');
const content = Buffer.from('library');
const source: LibrarySource = {
  package: 'tensorflow-cpu',
  version: '2.21.0',
  sha256: '',
  files: { lib: content.length },
  digests: { lib: createHash('sha256').update(content).digest('hex') },
};
const lines: string[] = [];
const log = (line: string) => void lines.push(line);

let copy: string;
beforeEach(() => {
  lines.length = 0;
  copy = mkdtempSync(join(tmpdir(), 'ct-ensemble-copy-'));
  put(content, TIME);
  writeFileSync(join(copy, 'source.json'), JSON.stringify(source));
  recordVerification(copy, source);
});
afterEach(() => rmSync(copy, { recursive: true }));

function put(bytes: Buffer | string, time: Date) {
  writeFileSync(join(copy, 'lib'), bytes);
  utimesSync(join(copy, 'lib'), time, time);
}
const stamp = () => JSON.parse(readFileSync(join(copy, 'verified.json'), 'utf8')) as { verifiedAt: string };
const DIGEST = 'lib has another SHA-256 than when it was installed';

test('a sound copy', async () => {
  expect([damageOf(copy), await verifyCopy(copy, { log })]).toEqual([undefined, undefined]);
});

test('other bytes of the same length: found at load by their modification time', async () => {
  put('Library', new Date('2026-01-02'));
  expect([damageOf(copy), await verifyCopy(copy, { log })]).toEqual([DIGEST, DIGEST]);
});

test('other bytes under the old modification time: found when the digests are due, or with force', async () => {
  put('Library', TIME);
  expect([damageOf(copy), await verifyCopy(copy, { log })]).toEqual([undefined, undefined]);
  expect(await verifyCopy(copy, { log, force: true })).toBe(DIGEST);
  for (const verifiedAt of ['2026-01-01T00:00:00Z', '2999-01-01T00:00:00Z', 'never']) {
    writeFileSync(join(copy, 'verified.json'), JSON.stringify({ ...stamp(), verifiedAt }));
    expect(await verifyCopy(copy, { log })).toBe(DIGEST);
  }
});

test('the same bytes with another modification time: sound, and the new time is recorded', async () => {
  put(content, new Date('2026-01-02'));
  expect(damageOf(copy)).toBeUndefined();
  expect(await verifyCopy(copy, { log })).toBeUndefined();
  expect(stamp()).toMatchObject({ mtimes: { lib: Date.parse('2026-01-02') } });
});

test.each([
  ['without verified.json', 'verified.json'],
  ['with a verified.json that is not JSON', undefined],
])('%s the digests are read', (_, removed) => {
  if (removed) rmSync(join(copy, removed));
  else writeFileSync(join(copy, 'verified.json'), '{');
  expect(damageOf(copy)).toBeUndefined();
  put('Library', TIME);
  expect(damageOf(copy)).toBe(DIGEST);
});

test('a file that is missing or has another length', async () => {
  put('longer than before', TIME);
  expect(damageOf(copy)).toBe('lib has 18 bytes instead of 7');
  rmSync(join(copy, 'lib'));
  expect([damageOf(copy), await verifyCopy(copy, { log })]).toEqual(['lib is missing', 'lib is missing']);
});

test('a copy without digests gets those of its files, and a line says so', async () => {
  const { digests, ...earlier } = source;
  writeFileSync(join(copy, 'source.json'), JSON.stringify(earlier));
  rmSync(join(copy, 'verified.json'));
  expect(damageOf(copy)).toBeUndefined();
  expect(await verifyCopy(copy, { log })).toBeUndefined();
  expect(JSON.parse(readFileSync(join(copy, 'source.json'), 'utf8'))).toEqual({ ...earlier, digests });
  expect(lines).toEqual([expect.stringMatching(/was installed without digests/)]);
  put('Library', TIME);
  expect(await verifyCopy(copy, { log, force: true })).toBe(DIGEST);
});
