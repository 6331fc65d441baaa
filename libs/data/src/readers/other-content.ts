// What a file is that has the name of a scan but other content: a Git LFS pointer, a web page, an archive.

export interface OtherContent {
  problem: string;
  remedy: string;
}

/** Longest beginning that `contentOfBytes` looks at. */
export const BEGINNING = 512;

/** First bytes of zip, empty zip, rar and 7z files. */
const ARCHIVES = ['PK\x03\x04', 'PK\x05\x06', 'Rar!\x1a\x07', '7z\xbc\xaf\x27\x1c'];

/** What else than a scan the bytes are, told by their beginning; null if nothing of this kind. */
export function contentOfBytes(bytes: Uint8Array): OtherContent | null {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, BEGINNING));
  const text = start
    .toString('latin1')
    .replace(/^\xef\xbb\xbf/, '')
    .trimStart();
  if (text.startsWith('version https://git-lfs.github.com/spec/'))
    return {
      problem: 'is a Git LFS pointer, not the file itself',
      remedy: 'run git lfs pull in the folder of the repository, or download the file itself',
    };
  if (/^<(?:!doctype html|html|\?xml|head)/i.test(text))
    return {
      problem: 'is a web page (HTML or XML), not the file itself',
      remedy: 'download the file again; the page may say why it was not given, such as a log-in',
    };
  if (/^(?:\.\.\/)*(?:\.git)?\/annex\/objects\//.test(text))
    return {
      problem: 'is a git-annex pointer, not the file itself',
      remedy: 'run git annex get in the folder of the repository, or datalad get',
    };
  if (/^\{\s*"/.test(text))
    return {
      problem: 'is JSON text, such as the answer of a server, not the file itself',
      remedy: 'download the file again; the text may say why it was not given',
    };
  if (ARCHIVES.some((magic) => text.startsWith(magic)))
    return { problem: 'is an archive (zip, rar or 7z)', remedy: 'unpack it' };
  return null;
}
