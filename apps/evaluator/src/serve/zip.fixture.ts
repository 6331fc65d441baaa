// For tests: zip archives of which every field can be wrong.
import { crc32, deflateRawSync } from 'node:zlib';

export interface ZipEntry {
  name: string;
  data: Uint8Array;
  /** 0 stored, 8 deflated (default), others only as a number in the headers. */
  method?: number;
  /** Unix mode with the type of file, such as 0o120777 for a link. */
  mode?: number;
  /** Size and checksum as the headers state them. */
  size?: number;
  crc?: number;
  flags?: number;
  /** Place of the local header as the central directory states it; the entry has no bytes of its own then. */
  at?: number;
}

/** A zip archive. `count`: the number of entries as its end states it; `shift`: added to the place of the central directory. */
export function zipOf(
  entries: readonly ZipEntry[],
  { count = entries.length, shift = 0 }: { count?: number; shift?: number } = {},
): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let length = 0;
  const add = (part: Buffer) => {
    parts.push(part);
    length += part.length;
  };
  for (const { name, data, method = 8, mode = 0o100644, flags = 0x800, ...wrong } of entries) {
    const packed = method === 0 ? Buffer.from(data) : deflateRawSync(data, { level: 9 });
    const { size = data.length, crc = crc32(data), at } = wrong;
    const bytes = Buffer.from(name);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(flags, 2);
    fields.writeUInt16LE(method, 4);
    fields.writeUInt32LE(crc, 10);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(size, 18);
    fields.writeUInt16LE(bytes.length, 22);
    const start = at ?? length;
    if (at === undefined) {
      add(Buffer.from('PK\x03\x04'));
      add(fields);
      add(bytes);
      add(packed);
    }
    const central = Buffer.alloc(46);
    central.write('PK\x01\x02', 'latin1');
    central.writeUInt16LE((3 << 8) | 20, 4);
    fields.copy(central, 6);
    central.writeUInt32LE((mode << 16) >>> 0, 38);
    central.writeUInt32LE(start, 42);
    directory.push(central, bytes);
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(count, 8);
  end.writeUInt16LE(count, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(length + shift, 16);
  return Buffer.concat([...parts, central, end]);
}
