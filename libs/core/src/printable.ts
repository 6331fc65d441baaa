// Text that came from outside (file names, headers, table cells), made safe to print on a terminal or in a log.

/**
 * C0 and C1 control characters and DEL; line and paragraph separators; marks that change the direction of text, which
 * make a name look like another one (Unicode Technical Report 36, section 2.5); halves of surrogate pairs.
 */
const UNSAFE = /[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

/**
 * A name on one line: control characters, ANSI escapes among them, are shown as `\x1b`, `\n` as `\x0a`, and other unsafe
 * characters as `\u202e`. All other text is unchanged.
 */
export function printable(name: string): string {
  return name.replace(UNSAFE, escapeOf);
}

/** Like `printable`, but line breaks and tabs are kept: for whole messages, which may have several lines. */
export function printableLines(text: string): string {
  return text.replace(UNSAFE, (unsafe) => (unsafe === '\n' || unsafe === '\t' ? unsafe : escapeOf(unsafe)));
}

/** What JSON.stringify leaves unescaped (above 0x7e) gets the form that JSON has for it, so that JSON stays JSON. */
function escapeOf(unsafe: string): string {
  const code = unsafe.charCodeAt(0);
  return code < 0x20
    ? `\\x${code.toString(16).padStart(2, '0')}`
    : `\\u${code.toString(16).padStart(4, '0')}`;
}

/** Prints a message to standard output; control characters from names in it are shown, not acted on. */
export function print(text: string): void {
  console.log(printableLines(text));
}

/** Prints a message to standard error, like `print`. */
export function printError(text: string): void {
  console.error(printableLines(text));
}
