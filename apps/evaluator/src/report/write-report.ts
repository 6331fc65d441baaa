// The files of a report: the page, and its tables as text, CSV and JSON.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readJson, writeFileAtomic } from '@ct-ensemble/core';
import type { RunReport } from './model/report-model.ts';
import { type PageImages, reportPage } from './page/page.ts';
import { tableCsv, tableJson, tableText } from './tables/render-tables.ts';
import { tablesIn } from './tables/section.ts';
import { sectionsOf } from './tables/sections.ts';

/**
 * Writes `report.html`, `tables.txt`, `tables.json`, `report.json` (everything computed) and `tables/<table>.csv` into a folder.
 * Tables of an earlier report in the folder that this one does not have are removed.
 * @returns the paths of the files, the page first.
 */
export async function writeReport(
  folder: string,
  report: RunReport,
  images: PageImages = {},
): Promise<string[]> {
  const tables = tablesIn(sectionsOf(report));
  const csv = (id: string) => join(folder, 'tables', `${id}.csv`);
  const listFile = join(folder, 'tables.json');
  for (const id of await earlierTables(listFile)) await rm(csv(id), { force: true });
  const files: [string, string][] = [
    [join(folder, 'report.html'), reportPage(report, images)],
    [join(folder, 'tables.txt'), `${report.headline.join('\n')}\n\n${tables.map(tableText).join('\n')}`],
    [join(folder, 'report.json'), `${JSON.stringify(report, null, 2)}\n`],
    ...tables.map((table): [string, string] => [csv(table.id), tableCsv(table)]),
    // Last: it lists the tables that the next report may remove.
    [listFile, `${JSON.stringify(tables.map(tableJson), null, 2)}\n`],
  ];
  for (const [file, text] of files) await writeFileAtomic(file, text);
  return files.map(([file]) => file);
}

/** The tables that an earlier report wrote; none if the list is not one of ours. */
async function earlierTables(file: string): Promise<string[]> {
  const list = await readJson(file).catch(() => undefined);
  if (!Array.isArray(list)) return [];
  return list.flatMap((table: unknown) => {
    const id = typeof table === 'object' && table !== null && 'id' in table ? table.id : undefined;
    return typeof id === 'string' && /^[a-z0-9-]+$/.test(id) ? [id] : [];
  });
}
