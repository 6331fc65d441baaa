// For tests: requests of clients that are broken or mean harm.
import { createHash } from 'node:crypto';
import { deflateSync, gzipSync } from 'node:zlib';
import { requestText, type RawAnswer, type RawOptions, sendRaw } from './client.fixture.ts';
import { zipOf, type ZipEntry } from './zip.fixture.ts';

export interface HostileRequest {
  name: string;
  /** What may come back: statuses, or `closed` for the end of the connection. */
  allowed: readonly RawAnswer['outcome'][];
  send(port: number): Promise<RawAnswer>;
}

/** A request with a body, of which the length is stated rightly. */
function post(name: string, body: Uint8Array, allowed: HostileRequest['allowed']): HostileRequest {
  const head = requestText('POST /predict', {
    'Content-Type': 'application/octet-stream',
    'Content-Length': body.length,
  });
  return { name, allowed, send: (port) => sendRaw(port, [head, body]) };
}

function raw(
  name: string,
  pieces: readonly (string | Uint8Array)[],
  { allowed, ...options }: RawOptions & { allowed: HostileRequest['allowed'] },
): HostileRequest {
  return { name, allowed, send: (port) => sendRaw(port, pieces, options) };
}

/** Bytes that look random and are the same in each run. */
export const noise = (length: number, seed: string) =>
  Buffer.concat(
    Array.from({ length: Math.ceil(length / 32) }, (_, i) =>
      createHash('sha256').update(`${seed} ${i}`).digest(),
    ),
  ).subarray(0, length);

const small = Buffer.from('no image');

/** Requests that are wrong as HTTP, or that the headers refuse. `limit`: bytes that the server takes. */
export function httpRequests(limit: number): HostileRequest[] {
  const chunked = { 'Transfer-Encoding': 'chunked', 'Content-Type': 'application/zip' };
  const predict = (headers: Record<string, string | number>, body = '') =>
    requestText('POST /predict', headers, body);
  const drip = (text: string) => [...text];
  return [
    ...['text/plain', 'application/json', 'multipart/form-data; boundary=x', 'image/jpeg', '////'].map(
      (type) =>
        raw(`type ${type}`, [predict({ 'Content-Type': type, 'Content-Length': 2 }, 'PK')], {
          allowed: [415],
        }),
    ),
    raw('a body that is encoded', [predict({ 'Content-Encoding': 'gzip', 'Content-Length': 2 }, 'PK')], {
      allowed: [415],
    }),
    post('an empty body', Buffer.alloc(0), [400]),
    post('text as a body', small, [415]),
    raw('no length', [predict({})], { allowed: [411] }),
    raw('a stated length beyond the limit', [predict({ 'Content-Length': limit + 1 }, 'PK')], {
      allowed: [413],
    }),
    raw('a stated length of terabytes', [predict({ 'Content-Length': 2 ** 45 }, 'PK')], { allowed: [413] }),
    raw('too large and Expect', [predict({ 'Content-Length': limit + 1, Expect: '100-continue' })], {
      allowed: [413],
    }),
    raw('an expectation that nobody knows', [predict({ 'Content-Length': 2, Expect: 'a pony' }, 'PK')], {
      allowed: [417],
    }),
    raw(
      'chunks beyond the limit',
      [predict(chunked), ...Array.from({ length: limit / 2 ** 20 + 4 }, chunkOfMegabyte)],
      { allowed: [413] },
    ),
    raw('a body that is cut', [predict({ 'Content-Length': 1000 }, 'PK\x03\x04')], {
      end: true,
      allowed: [400, 'closed'],
    }),
    raw('a connection that breaks', [predict({ 'Content-Length': 1000 }, 'PK\x03\x04')], {
      reset: true,
      allowed: ['closed'],
    }),
    raw('headers that are cut', ['POST /predict HTTP/1.1\r\nHost: local'], {
      end: true,
      allowed: [400, 'closed'],
    }),
    raw('more bytes than stated', [predict({ 'Content-Length': 4 }, 'PK\x03\x04 and a lot more\r\n\r\n')], {
      allowed: [400, 415, 422, 'closed'],
    }),
    raw(
      'two lengths',
      [`POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nPKP`],
      {
        allowed: [400],
      },
    ),
    raw('length and chunks', [predict({ ...chunked, 'Content-Length': 4 }, '0\r\n\r\n')], { allowed: [400] }),
    ...['-1', 'NaN', '1e9', '0x10', '99999999999999999999', '4, 4'].map((length) =>
      raw(`length ${length}`, [predict({ 'Content-Length': length }, 'PK')], { allowed: [400, 413] }),
    ),
    ...[
      'zzz\r\nPK\r\n',
      '-5\r\nPK\r\n',
      'FFFFFFFFFFFFFFFFFF\r\nPK',
      '4\r\nPK\x03\x04garbage',
      `4;${'x'.repeat(70_000)}\r\n`,
    ].map((body, i) =>
      raw(`chunks of garbage ${i}`, [predict(chunked, body)], { allowed: [400, 413, 'closed'] }),
    ),
    raw('a chunk that is cut', [predict(chunked, '100\r\nPK\x03\x04')], {
      end: true,
      allowed: [400, 'closed'],
    }),
    raw('garbage behind a request', [requestText('GET /healthz', {}), noise(2000, 'pipeline')], {
      allowed: [200, 400, 'closed'],
    }),
    raw('garbage behind a body', [predict({ 'Content-Length': 4 }, 'PK\x03\x04'), noise(2000, 'behind')], {
      allowed: [400, 422, 'closed'],
    }),
    raw('forty requests at once', [requestText('GET /healthz', {}).repeat(40)], { allowed: [200] }),
    raw('huge headers', [requestText('GET /', { 'X-Large': 'x'.repeat(70_000) })], {
      allowed: [431, 'closed'],
    }),
    raw(
      'many headers',
      [requestText('GET /', Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`x${i}`, i])))],
      {
        allowed: [200, 431, 'closed'],
      },
    ),
    raw('a long address', [requestText(`GET /${'a/'.repeat(30_000)}`, {})], {
      allowed: [404, 414, 431, 'closed'],
    }),
    ...['BREW /predict', 'GET', 'get /', 'GET /\x00'].map((line) =>
      raw(`request line ${JSON.stringify(line)}`, [requestText(line, {})], {
        allowed: [400, 404, 405, 'closed'],
      }),
    ),
    raw('HTTP/9.9', ['GET / HTTP/9.9\r\nHost: a\r\n\r\n'], { allowed: [400, 505, 'closed'] }),
    raw('no host', ['GET / HTTP/1.1\r\n\r\n'], { allowed: [400] }),
    raw('a foreign host', ['GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n'], { allowed: [403] }),
    raw('a foreign page', [predict({ Origin: 'https://evil.example', 'Content-Length': 2 }, 'PK')], {
      allowed: [403],
    }),
    raw('TLS', [Buffer.from('16030100c8010000c40303', 'hex'), noise(200, 'tls')], {
      allowed: [400, 'closed'],
    }),
    raw('random bytes', [noise(5000, 'random')], { allowed: [400, 'closed'] }),
    raw('line ends only', ['\r\n'.repeat(2000)], { end: true, allowed: [400, 'closed'] }),
    ...[
      '/../../etc/passwd',
      '/%2e%2e/%2e%2e/etc/passwd',
      '/predict/../x',
      '/%ff%',
      '//predict',
      '/metrics/..',
    ].map((path) => raw(`address ${path}`, [requestText(`GET ${path}`, {})], { allowed: [400, 404] })),
    ...['alpha=2', 'alpha=NaN', 'alpha=0.1&alpha=0.2', '__proto__=1', 'file=/etc/passwd'].map((query) =>
      raw(`query ${query}`, [requestText(`POST /predict?${query}`, { 'Content-Length': 2 }, 'PK')], {
        allowed: [400],
      }),
    ),
    ...['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE'].map((method) =>
      raw(`method ${method}`, [requestText(`${method} /predict`, {})], { allowed: [404, 405] }),
    ),
    raw('CONNECT', ['CONNECT evil.example:80 HTTP/1.1\r\nHost: evil.example\r\n\r\n'], {
      allowed: [400, 404, 405, 'closed'],
    }),
    raw('an upgrade', [requestText('GET /', { Connection: 'Upgrade', Upgrade: 'websocket' })], {
      allowed: [200, 400, 426, 'closed'],
    }),
    raw('headers one byte at a time', drip(requestText('GET /', { A: 'x'.repeat(200) })), {
      pause: 120,
      allowed: [200, 408, 'closed'],
    }),
    raw('a body one byte at a time', [predict({ 'Content-Length': 1000 }), ...drip('P'.repeat(1000))], {
      pause: 100,
      allowed: [408],
    }),
    raw('a body that never comes', [predict({ 'Content-Length': 1000 })], { allowed: [408] }),
    raw('chunks that never come', [predict(chunked, '4\r\nPK')], { allowed: [408] }),
    raw('a client that says nothing', [], { allowed: [408, 'closed'] }),
  ];
}

const megabyte = Buffer.alloc(2 ** 20, 0x41);
const chunkOfMegabyte = () => Buffer.concat([Buffer.from('100000\r\n'), megabyte, Buffer.from('\r\n')]);

/** Zip archives that no server should unpack. `slices`: a sound scan's files; `unpacked`: bytes that the server unpacks. */
export function zipRequests(slices: readonly ZipEntry[], unpacked: number): HostileRequest[] {
  const entry = (name: string, more: Partial<ZipEntry> = {}): ZipEntry => ({ name, data: small, ...more });
  const archive = (name: string, entries: readonly ZipEntry[], allowed: HostileRequest['allowed'] = [422]) =>
    post(`zip: ${name}`, zipOf(entries), allowed);
  const sound = zipOf(slices);
  const zeros = new Uint8Array(unpacked + 1);
  const half = new Uint8Array(2 ** 24 + 1);
  const kernel = zipOf([entry('0.jpg', { data: half })]);
  const names = [
    '../0.jpg',
    '../../../../tmp/evil.jpg',
    '/etc/cron.d/evil',
    'C:/evil.jpg',
    'C:\\evil.jpg',
    '..\\..\\evil.jpg',
    'a/../../evil.jpg',
    'a/./0.jpg',
    'a//0.jpg',
    './0.jpg',
    '.',
    '..',
    '',
    'a\x00.jpg',
    'a\n.jpg',
    '\x1b[2J.jpg',
    'nul:stream.jpg',
    `${'x'.repeat(300)}.jpg`,
    `${'d/'.repeat(40)}0.jpg`,
  ];
  return [
    ...names.map((name) => archive(`name ${JSON.stringify(name.slice(0, 30))}`, [...slices, entry(name)])),
    archive('a link', [entry('0.jpg', { data: Buffer.from('/etc/passwd'), mode: 0o120777, method: 0 })]),
    archive('a link to a folder, then a file in it', [
      entry('a', { data: Buffer.from('/tmp'), mode: 0o120777 }),
      entry('a/0.jpg'),
    ]),
    archive('a device', [...slices, entry('zero', { mode: 0o020666 })]),
    archive('a pipe', [...slices, entry('pipe', { mode: 0o010666 })]),
    archive('a name twice', [...slices, slices[0]!]),
    archive('a name twice but for capitals', [...slices, entry('A.jpg'), entry('a.JPG')]),
    archive('a name twice in two forms', [...slices, entry('\u00e9.jpg'), entry('e\u0301.jpg')]),
    archive('a file that is a folder', [...slices, entry('x'), entry('x/y.jpg')]),
    archive('a folder that is a file', [...slices, entry('x/y.jpg'), entry('x')]),
    archive('encrypted', [entry('0.jpg', { flags: 0x801 })]),
    ...[1, 9, 12, 14, 93, 99].map((method) => archive(`method ${method}`, [entry('0.jpg', { method })])),
    archive('a wrong checksum', [...slices, entry('9.jpg', { crc: 1 })]),
    archive('more than unpacked', [entry('0.jpg', { data: zeros })], [413]),
    archive('a ratio of a thousand', [entry('0.jpg', { data: half })], [413]),
    archive('larger than it says', [entry('0.jpg', { data: half, size: 10 })]),
    archive('smaller than it says', [entry('0.jpg', { size: 2 ** 20 })]),
    archive('terabytes by its headers', [entry('0.jpg', { size: 0xfffffffe })], [413]),
    archive(
      'six thousand entries',
      Array.from({ length: 6000 }, (_, i) => entry(`${i}.jpg`, { method: 0 })),
      [413],
    ),
    archive(
      'one body for a thousand entries',
      [
        entry('0.jpg', { data: half.subarray(0, 2 ** 14) }),
        ...Array.from({ length: 999 }, (_, i) =>
          entry(`${i + 1}.jpg`, { data: half.subarray(0, 2 ** 14), at: 0 }),
        ),
      ],
      [422],
    ),
    archive('a bomb in an archive', [entry('inner.zip', { data: kernel, method: 0 })]),
    archive(
      'sixteen bombs in an archive',
      Array.from({ length: 16 }, (_, i) => entry(`${i}.zip`, { data: kernel })),
    ),
    archive('no entries', []),
    archive('folders only', [
      entry('a/', { data: new Uint8Array() }),
      entry('a/b/', { data: new Uint8Array() }),
    ]),
    archive(
      'text as slices',
      Array.from({ length: 9 }, (_, i) => entry(`${i}.jpg`)),
    ),
    archive('two scans', [
      ...slices.map((slice) => ({ ...slice, name: `a/${slice.name}` })),
      ...slices.map((slice) => ({ ...slice, name: `b/${slice.name}` })),
    ]),
    post('zip: more entries than it says', zipOf(slices, { count: 2 }), [422, 200]),
    post('zip: fewer entries than it says', zipOf(slices, { count: 60_000 }), [413, 422]),
    post('zip: its directory lies elsewhere', zipOf(slices, { shift: 1000 }), [422]),
    post('zip: its directory lies beyond', zipOf(slices, { shift: 2 ** 30 }), [422]),
    post('zip: in gzip', gzipSync(sound), [422]),
    post('zip: signature only', Buffer.from('PK\x03\x04'), [422]),
    ...[0.1, 0.5, 0.9, 0.99].map((part) =>
      post(`zip: cut at ${part}`, sound.subarray(0, Math.floor(part * sound.length)), [422]),
    ),
    post('zip: bytes appended', Buffer.concat([sound, noise(70_000, 'tail')]), [422]),
  ];
}

/** A NIfTI header of 16-bit voxels. */
export function niftiHeader([x, y, z]: readonly [number, number, number]): Buffer {
  const header = Buffer.alloc(352);
  header.writeInt32LE(348, 0);
  [3, x, y, z, 1, 1, 1, 1].forEach((dim, i) => header.writeInt16LE(dim, 40 + 2 * i));
  header.writeInt16LE(4, 70);
  header.writeInt16LE(16, 72);
  [1, 1, 1, 2].forEach((size, i) => header.writeFloatLE(size, 76 + 4 * i));
  header.writeFloatLE(352, 108);
  header.writeFloatLE(1, 112);
  header.writeInt16LE(1, 254);
  [-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 2, 0].forEach((value, i) => header.writeFloatLE(value, 280 + 4 * i));
  header.write('n+1\0', 344, 'latin1');
  return header;
}

/** A NIfTI volume like a chest: air, a body, two lungs. */
export function niftiScan(size = 40, depth = 24): Buffer {
  const voxels = new Int16Array(size * size * depth);
  for (let z = 0; z < depth; z++)
    for (let y = 0; y < size; y++)
      for (let x = 0; x < size; x++) {
        const [u, v] = [x / size - 0.5, y / size - 0.5];
        const body = (u / 0.45) ** 2 + (v / 0.4) ** 2 < 1;
        const lung = ((Math.abs(u) - 0.2) / 0.14) ** 2 + (v / 0.26) ** 2 < 1;
        voxels[(z * size + y) * size + x] =
          (lung ? -850 : body ? 40 : -1000) + ((x * 7 + y * 13 + z * 29) % 50);
      }
  return Buffer.concat([niftiHeader([size, size, depth]), Buffer.from(voxels.buffer)]);
}

/** Volume files with headers that claim, refer or compute wrongly. */
export function volumeRequests(): HostileRequest[] {
  const sound = niftiScan();
  const changed = (name: string, change: (bytes: Buffer) => void, allowed: HostileRequest['allowed']) => {
    const bytes = Buffer.from(sound);
    change(bytes);
    return post(`nifti: ${name}`, bytes, allowed);
  };
  const refused = [413, 415, 422] as const;
  const either = [200, ...refused] as const;
  const meta = (fields: Record<string, string>, voxels: Uint8Array = new Uint8Array(4000)) =>
    Buffer.concat([
      Buffer.from(
        Object.entries({
          ObjectType: 'Image',
          NDims: '3',
          DimSize: '10 10 20',
          ElementType: 'MET_SHORT',
          ...fields,
          ElementDataFile: fields['ElementDataFile'] ?? 'LOCAL',
        })
          .map(([name, value]) => `${name} = ${value}\n`)
          .join(''),
      ),
      voxels,
    ]);
  const nrrd = (fields: Record<string, string>, voxels: Uint8Array = new Uint8Array(4000)) =>
    Buffer.concat([
      Buffer.from(
        `NRRD0004\n${Object.entries({
          type: 'short',
          dimension: '3',
          sizes: '10 10 20',
          encoding: 'raw',
          endian: 'little',
          ...fields,
        })
          .map(([name, value]) => `${name}: ${value}\n`)
          .join('')}\n`,
      ),
      voxels,
    ]);
  const zeros = new Uint8Array(2 ** 25);
  return [
    changed('spacing NaN', (bytes) => bytes.writeFloatLE(NaN, 80), either),
    changed('axes NaN', (bytes) => bytes.fill(0xff, 280, 328), either),
    changed('axes infinite', (bytes) => bytes.writeFloatLE(Infinity, 280), either),
    changed('slope NaN', (bytes) => bytes.writeFloatLE(NaN, 112), either),
    changed('offset NaN', (bytes) => bytes.writeFloatLE(NaN, 108), either),
    changed('offset of terabytes', (bytes) => bytes.writeFloatLE(1e12, 108), refused),
    changed('negative sizes', (bytes) => bytes.writeInt16LE(-40, 42), refused),
    changed('sizes of zero', (bytes) => bytes.writeInt16LE(0, 44), refused),
    changed('sizes beyond all bounds', (bytes) => bytes.fill(0x7f, 42, 56), refused),
    changed('more voxels than bytes', (bytes) => bytes.writeInt16LE(400, 46), refused),
    changed('an unknown type', (bytes) => bytes.writeInt16LE(9999, 70), refused),
    changed('no magic', (bytes) => bytes.fill(0, 344, 348), either),
    changed('voxels of noise', (bytes) => noise(4000, 'voxels').copy(bytes, 352), either),
    post('nifti: header only', niftiHeader([40, 40, 24]), refused),
    post('nifti: cut in its header', sound.subarray(0, 200), refused),
    post('nifti: gzip, cut', gzipSync(sound).subarray(0, 500), refused),
    post('nifti: gzip of noise', gzipSync(noise(4000, 'gzip')), refused),
    post(
      'nifti: gzip header and noise',
      Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 0]), noise(900, 'g')]),
      refused,
    ),
    post('nifti: gzip bomb', gzipSync(Buffer.concat([niftiHeader([4000, 4000, 100]), zeros])), refused),
    post('nifti: gzip bomb behind a scan', gzipSync(Buffer.concat([sound, zeros])), either),
    post('nifti: gzip in gzip', gzipSync(gzipSync(sound)), refused),
    post('nifti: empty blocks before a header', emptyBlocks(), refused),
    post('metaimage: sizes beyond all bounds', meta({ DimSize: '4096 4096 4096' }), refused),
    post('metaimage: sizes NaN', meta({ DimSize: 'NaN 10 10' }), refused),
    post('metaimage: spacing NaN', meta({ ElementSpacing: 'NaN NaN NaN' }), either),
    post('metaimage: a file of this machine', meta({ ElementDataFile: '/etc/passwd' }), refused),
    post('metaimage: a file above', meta({ ElementDataFile: '../../../etc/passwd' }), refused),
    post('metaimage: a device', meta({ ElementDataFile: '/dev/zero' }), refused),
    post('metaimage: itself', meta({ ElementDataFile: 'scan.mha' }), either),
    post(
      'metaimage: bomb',
      meta({ CompressedData: 'True', DimSize: '4000 4000 60' }, deflateSync(zeros)),
      refused,
    ),
    post('nrrd: sizes beyond all bounds', nrrd({ sizes: '99999 99999 99999' }), refused),
    post(
      'nrrd: axes NaN',
      nrrd({ 'space directions': '(nan,0,0) (0,nan,0) (0,0,nan)', space: 'LPS' }),
      either,
    ),
    post('nrrd: a file of this machine', nrrd({ 'data file': '/etc/passwd' }), refused),
    post('nrrd: a file above', nrrd({ 'data file': '../../etc/passwd' }), refused),
    post('nrrd: bomb', nrrd({ encoding: 'gzip', sizes: '4000 4000 60' }, gzipSync(zeros)), refused),
    post('dicom: preamble only', Buffer.concat([Buffer.alloc(128), Buffer.from('DICM')]), refused),
    post(
      'dicom: noise',
      Buffer.concat([Buffer.alloc(128), Buffer.from('DICM'), noise(5000, 'dicom')]),
      refused,
    ),
    ...[1, 2, 3, 4].map((i) => post(`noise ${i}`, noise(20_000, `body ${i}`), refused)),
  ];
}

/** A gzip file whose deflate stream begins with thousands of empty stored blocks. */
function emptyBlocks(): Buffer {
  const header = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
  const empty = Buffer.alloc(5 * 10_000);
  for (let i = 0; i < empty.length; i += 5) empty.writeUInt16LE(0xffff, i + 3);
  return Buffer.concat([header, empty, gzipSync(niftiScan()).subarray(10)]);
}

/** Copies of a sound body, damaged in `count` ways. */
export function damagedRequests(body: Buffer, name: string, count: number): HostileRequest[] {
  return Array.from({ length: count }, (_, i) => {
    const draw = noise(64, `${name} ${i}`);
    const place = draw.readUInt32LE(0) % body.length;
    let bytes = Buffer.from(body);
    if (i % 4 === 0) bytes = bytes.subarray(0, place);
    else if (i % 4 === 1)
      for (let k = 0; k < 8; k++) bytes[draw.readUInt32LE(4 * k) % bytes.length]! ^= 1 << (draw[40 + k]! & 7);
    else if (i % 4 === 2) bytes.fill(draw[9]!, place, place + 64);
    else draw.copy(bytes, place % 400);
    return post(`${name} damaged ${i}`, bytes, [200, 400, 413, 415, 422]);
  });
}
