// Lines that are rewritten in place on a terminal.
import { createLogUpdate } from 'log-update';

export interface LiveLines {
  /** Replaces the lines. They must fit the terminal. */
  draw(lines: readonly string[]): void;
  /** Leaves the lines as they are and shows the cursor again. */
  end(): void;
}

/** The size of the terminal on standard output, in characters. */
export const terminalSize = () => ({
  // The last column stays empty: some terminals begin a new line after it.
  width: (process.stdout.columns || 80) - 1,
  height: process.stdout.rows || 24,
});

/** Whether colours are wanted: https://no-color.org */
export const isColoured = () => process.stdout.hasColors?.() === true && !process.env['NO_COLOR'];

export function liveLines(): LiveLines {
  const update = createLogUpdate(process.stdout);
  return {
    draw: (lines) => update(lines.join('\n')),
    end: () => update.done(),
  };
}
