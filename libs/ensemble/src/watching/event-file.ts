// TensorBoard's event files: records with masked CRC-32C checksums (TFRecord) that hold Event messages of Protocol Buffers.
// Only what scalars need: tensorflow/core/util/event.proto and tensorflow/core/lib/io/record_writer.h of TensorFlow.

/** Scalars of one step. */
export interface ScalarEvent {
  step: number;
  /** Seconds since 1970. */
  wallTime: number;
  values: readonly (readonly [tag: string, value: number])[];
}

/** The first record of every event file. */
export const versionRecord = (wallTime: number): Buffer =>
  record(Buffer.concat([time(wallTime), bytesField(3, Buffer.from('brain.Event:2'))]));

/** Tells TensorBoard to forget what it has read of this step and later ones: the training starts here. */
export const startRecord = (wallTime: number): Buffer =>
  record(Buffer.concat([time(wallTime), bytesField(7, varintField(1, 1))]));

/** The values as one record; they become 32-bit floating-point numbers. */
export function scalarRecord({ step, wallTime, values }: ScalarEvent): Buffer {
  const each = values.map(([tag, value]) =>
    bytesField(1, Buffer.concat([bytesField(1, Buffer.from(tag)), float32(2, value)])),
  );
  return record(Buffer.concat([time(wallTime), varintField(2, step), bytesField(5, Buffer.concat(each))]));
}

/** The complete records at the start of a file; what follows the last one is damaged or was cut short. */
export function validRecords(file: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at + 12 <= file.length;) {
    const length = Number(file.readBigUInt64LE(at));
    const end = at + 12 + length + 4;
    if (file.readUInt32LE(at + 8) !== maskedCrc32c(file.subarray(at, at + 8)) || end > file.length) break;
    if (file.readUInt32LE(end - 4) !== maskedCrc32c(file.subarray(at + 12, end - 4))) break;
    records.push(file.subarray(at, end));
    at = end;
  }
  return records;
}

/** Whether two records hold the same but for the time at which they were written. */
export const isSameRecord = (a: Buffer, b: Buffer): boolean =>
  a.length === b.length && a.subarray(AFTER_TIME, -4).equals(b.subarray(AFTER_TIME, -4));

/** Length and its checksum, then the field of the time, which every record here begins with. */
const AFTER_TIME = 12 + 9;

function record(data: Buffer): Buffer {
  const whole = Buffer.alloc(12 + data.length + 4);
  whole.writeBigUInt64LE(BigInt(data.length), 0);
  whole.writeUInt32LE(maskedCrc32c(whole.subarray(0, 8)), 8);
  data.copy(whole, 12);
  whole.writeUInt32LE(maskedCrc32c(data), 12 + data.length);
  return whole;
}

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** CRC-32C (Castagnoli) of the bytes. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = table[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** A checksum of bytes that contain checksums: rotated right by 15 bits plus a constant. */
export function maskedCrc32c(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) | 128);
  }
}

const key = (field: number, wireType: number) => varint(field * 8 + wireType);
const varintField = (field: number, value: number) => Buffer.concat([key(field, 0), varint(value)]);
const bytesField = (field: number, bytes: Buffer) =>
  Buffer.concat([key(field, 2), varint(bytes.length), bytes]);

function float32(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([key(field, 5), bytes]);
}

function time(seconds: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(seconds);
  return Buffer.concat([key(1, 1), bytes]);
}
