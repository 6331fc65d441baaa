// Keeps the end of what a worker writes to its standard error.
import type { Readable } from 'node:stream';
import { printableLines } from '@ct-ensemble/core';

const most = { lines: 20, characters: 4000 };

/** Follows a stream. Returns a function that gives its last lines, with control characters escaped. */
export function tailOf(...streams: readonly (Readable | null)[]): () => string {
  let tail = '';
  for (const stream of streams)
    stream?.on('data', (piece: Buffer | string) => {
      tail = (tail + piece.toString()).slice(-most.characters);
    });
  return () => printableLines(tail.trimEnd().split('\n').slice(-most.lines).join('\n'));
}
