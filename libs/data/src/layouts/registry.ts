// The layouts by name. A new one is a file beside this one and a line here.
import { UserError } from '@ct-ensemble/core';
import { cov19CtDb } from './cov19-ct-db/cov19-ct-db.ts';
import { folders } from './folders.ts';
import type { Layout } from './layout.ts';
import { table } from './table.ts';
import { unlabelled } from './unlabelled.ts';

const LAYOUTS: readonly Layout[] = [
  cov19CtDb, // competition: splits, two classes, lists of severity
  folders, // [split/]class/scan
  table, // any tree, and a table of scans
  unlabelled, // any tree, no classes
];

/** Names of the layouts. */
export const layoutNames: readonly string[] = LAYOUTS.map(({ name }) => name);

/** The layout of this name. Throws a UserError if there is none. */
export function layoutOf(name: string): Layout {
  const layout = LAYOUTS.find((each) => each.name === name);
  if (layout !== undefined) return layout;
  throw new UserError(`there is no layout "${name}"`, { remedy: `choose one of ${layoutNames.join(', ')}` });
}
