// The layout `table`: any tree of scans, and a table with one row a scan that names its class and, if it has the columns,
// patient, split and group.
import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { UserError } from '@ct-ensemble/core';
import { mapConcurrent } from '../concurrent.ts';
import { counted, listed, type Finding } from '../findings.ts';
import { readRows, type TableRow } from '../tables.ts';
import type { FoundScan, Layout, LayoutRequest, LayoutScans, ScanTable, TableField } from './layout.ts';
import { splitOf } from '../splits/split.ts';
import { compareNames, listFolder, volumeName } from './listing.ts';
import { beginsAsDicom, readScanFolder } from './scan-folder.ts';
import { VOLUME_ENDINGS } from '../readers/volume-formats.ts';
import { keysOf, namesOf, scansBelow, volumeScan, type FoundFiles } from './scan-search.ts';
import { addAll } from '../lists.ts';

/** Usual names of the columns, in any case; of several that are present the first is taken. */
export const COLUMN_NAMES: Readonly<Record<TableField, readonly string[]>> = {
  scan: ['scan', 'path'],
  label: ['label', 'class', 'category'],
  patient: ['patient', 'patient_id'],
  split: ['split'],
  group: ['group', 'site', 'centre', 'center'],
};

const FIELDS = Object.keys(COLUMN_NAMES) as TableField[];

export const table: Layout = {
  name: 'table',
  description:
    'any tree of scans and a table with the columns scan and label, and optionally patient, split and group; ' +
    'a scan is a folder of JPEG or PNG slices or of DICOM files, or a NIfTI or DICOM file',
  read,
};

interface Row {
  line: number;
  scan: string;
  label: string;
  patient: string;
  split: string;
  group: string;
  groups: Readonly<Record<string, string>>;
}

/** A further column divides the scans into groups if it has at least two and at most this many values, empty cells aside. */
const MOST_GROUPS = 12;

async function read({ root, listing, classes, table: given, findings }: LayoutRequest): Promise<LayoutScans> {
  if (given === null)
    throw new UserError('the layout table needs a table of scans', {
      file: root,
      remedy: 'name it with --labels FILE (CSV, TSV or XLSX)',
    });
  const { file } = given;
  const { rows, fields } = await readTable(given, findings);
  checkCells(file, rows, classes);
  const places = await mapConcurrent(rows, 16, ({ scan }) => placeOf(root, scan));
  const located = onceEach(
    file,
    rows.map((row, i) => ({ row, path: places[i]! })),
    findings,
  );
  refuseRows(
    file,
    located.filter(({ row, path }) => path === null && splitOf(row.split) !== 'test').map(({ row }) => row),
    {
      problem: 'of scans that do not exist',
      cell: 'scan',
      remedy: `write paths relative to ${root} or absolute ones, or remove the rows`,
    },
  );
  const found = await mapConcurrent(located, 16, async ({ row, path }) => ({
    row,
    files: path === null ? absentScan(resolve(root, row.scan)) : await scanAt(path),
  }));
  for (const { files } of found) addAll(findings, files.findings);
  const keys = keysOf(
    found.map(({ files }) => files.scan),
    root,
  );
  const keyed = found.map((each, i) => ({ ...each, key: keys[i]!, name: keys[i]! }));
  keyed.sort((a, b) => compareNames(a.key, b.key));
  const names = namesOf(keyed);
  const scans = keyed.map(({ row, files: { scan }, key }, i): FoundScan => ({
    key,
    name: names[i]!,
    className: row.label || null,
    split: splitOf(row.split) ?? null,
    patient: row.patient || null,
    group: row.group || null,
    ...(Object.keys(row.groups).length > 0 && { groups: row.groups }),
    ...scan,
  }));
  const covered = new Set([
    ...found.map(({ files }) => files.scan.path),
    ...found.flatMap(({ files }) => files.inside),
  ]);
  const files = new Set(found.flatMap(({ files }) => files.scan.slices));
  await reportUnlisted({ root, listing, file, covered, files, findings });
  return { scans, classes, patientFile: fields.has('patient') ? file : null };
}

async function readTable({ file, columns = {} }: ScanTable, findings: Finding[]) {
  const [header, ...rows] = await readRows(file);
  const names = header?.cells.map((cell) => cell.toLowerCase()) ?? [];
  const fields = new Map<TableField, number>();
  for (const field of FIELDS) {
    const wanted = columns[field];
    const candidates = wanted === undefined ? COLUMN_NAMES[field] : [wanted];
    const name = candidates.find((candidate) => names.includes(candidate.toLowerCase()));
    if (name !== undefined) fields.set(field, names.indexOf(name.toLowerCase()));
    else if (wanted !== undefined || field === 'scan' || field === 'label') {
      const present =
        header === undefined ? 'the file is empty' : `the columns are ${header.cells.join(', ')}`;
      throw new UserError(
        `line ${header?.line ?? 1}: there is no column ${candidates.join(' or ')}; ${present}`,
        {
          file,
          remedy: `name the column with --${field}-column, or add it`,
        },
      );
    }
  }
  const used = new Set(fields.values());
  const others = header!.cells.flatMap((name, i) =>
    name !== '' && !used.has(i) ? [{ name: name.normalize('NFC'), i }] : [],
  );
  const groups = others.filter(({ i }) => dividesInGroups(rows, i));
  const unused = others.filter((column) => !groups.includes(column)).map(({ name }) => name);
  if (groups.length > 0) {
    const message = `columns taken for groups of scans, each with at most ${MOST_GROUPS} values: ${listed(
      groups.map(({ name }) => name),
      20,
    )}`;
    findings.push({ kind: 'group-column', path: file, message });
  }
  if (unused.length > 0)
    findings.push({ kind: 'unused-column', path: file, message: `columns not used: ${listed(unused, 20)}` });
  return { rows: rows.map((row) => rowOf(row, { fields, groups })), fields };
}

/** Whether the cells of a column have few values, each of them in two rows or more on average. */
function dividesInGroups(rows: readonly TableRow[], column: number): boolean {
  const cells = rows.map(({ cells }) => cells[column] ?? '').filter((cell) => cell !== '');
  const { size } = new Set(cells);
  return size >= 2 && size <= MOST_GROUPS && 2 * size <= cells.length;
}

function rowOf(
  { line, cells }: TableRow,
  {
    fields,
    groups,
  }: { fields: ReadonlyMap<TableField, number>; groups: readonly { name: string; i: number }[] },
): Row {
  const cell = (field: TableField) => {
    const column = fields.get(field);
    return column === undefined ? '' : (cells[column] ?? '').normalize('NFC');
  };
  return {
    line,
    scan: cell('scan'),
    label: cell('label'),
    patient: cell('patient'),
    split: cell('split'),
    group: cell('group'),
    groups: Object.fromEntries(
      groups.flatMap(({ name, i }) => {
        const value = (cells[i] ?? '').normalize('NFC');
        return value === '' ? [] : [[name, value]];
      }),
    ),
  };
}

/** @throws UserError for the first kind of bad cell, with the lines of all rows that have it. */
function checkCells(file: string, rows: readonly Row[], classes: readonly string[] | null) {
  if (rows.length === 0)
    throw new UserError('the table has no row', {
      file,
      remedy: 'write a row for each scan below the header',
    });
  const refuse = (bad: (row: Row) => boolean, about: Parameters<typeof refuseRows>[2]) =>
    refuseRows(file, rows.filter(bad), about);
  refuse(({ scan }) => scan === '', {
    problem: 'with an empty field scan',
    cell: 'scan',
    remedy: 'write the path of the scan',
  });
  refuse(({ split }) => split !== '' && splitOf(split) === undefined, {
    problem: 'with an unknown split',
    cell: 'split',
    remedy: 'write train, val or test',
  });
  if (rows.some(({ split }) => split !== ''))
    refuse(({ split }) => split === '', {
      problem: 'without a split, while others have one',
      cell: 'scan',
      remedy: 'give every row a split, or none to have splits made',
    });
  if (classes !== null)
    refuse(({ label }) => label !== '' && !classes.includes(label), {
      problem: 'with an unknown label',
      cell: 'label',
      remedy: `write one of the recipe's classes ${classes.join(', ')}, or take a recipe for other classes, such as starter`,
    });
  refuse(({ label, split }) => label === '' && split !== '' && splitOf(split) !== 'test', {
    problem: 'without a label in train or val',
    cell: 'scan',
    remedy: 'write the class, or move the scan to test: only there a label may be empty',
  });
}

/** Rows named in an error. */
const MOST_ROWS = 10;

/** Throws a UserError that names the lines of the rows, if there are any. */
function refuseRows(
  file: string,
  rows: readonly Row[],
  { problem, cell, remedy }: { problem: string; cell: 'scan' | 'label' | 'split'; remedy: string },
) {
  if (rows.length === 0) return;
  const shown = rows.slice(0, MOST_ROWS).map((row) => `line ${row.line} '${row[cell]}'`);
  const more = rows.length > MOST_ROWS ? ` and ${rows.length - MOST_ROWS} more` : '';
  throw new UserError(`${counted(rows.length, 'row')} ${problem}: ${shown.join(', ')}${more}`, {
    file,
    remedy,
  });
}

/** The folder or file that a row names, absolute; with, without or with another ending of volume files. Null: none. */
async function placeOf(root: string, scan: string): Promise<string | null> {
  const spellings = [scan, scan.replaceAll('\\', '/')].flatMap((path) => [path, path.normalize('NFD')]);
  for (const spelling of new Set(spellings)) {
    const bare = volumeName(spelling);
    const endings = bare === undefined ? [spelling] : [spelling, bare];
    for (const path of [
      ...endings,
      ...endings.flatMap((each) => VOLUME_ENDINGS.map((ending) => each + ending)),
    ]) {
      const place = resolve(root, path);
      const exists = await stat(place).then(
        () => true,
        () => false,
      );
      if (exists) return place;
    }
  }
  return null;
}

/** One row a scan. The same scan in two rows that agree is a finding; rows that disagree are a UserError. */
function onceEach(file: string, located: readonly { row: Row; path: string | null }[], findings: Finding[]) {
  const byPath = new Map<string, Row>();
  return located.filter(({ row, path }) => {
    const earlier = byPath.get(path ?? row.scan);
    byPath.set(path ?? row.scan, earlier ?? row);
    if (earlier === undefined) return true;
    for (const field of ['label', 'split', 'patient', 'group'] as const) {
      const same =
        field === 'split' ? splitOf(row.split) === splitOf(earlier.split) : row[field] === earlier[field];
      if (!same)
        throw new UserError(
          `line ${row.line}: ${row.scan} has the ${field} '${row[field]}' here and '${earlier[field]}' in line ${earlier.line}`,
          { file, remedy: 'keep one of the two rows' },
        );
    }
    for (const column of Object.keys({ ...earlier.groups, ...row.groups })) {
      const [here, before] = [row, earlier].map(({ groups }) =>
        Object.hasOwn(groups, column) ? groups[column] : '',
      );
      if (here !== before)
        throw new UserError(
          `line ${row.line}: ${row.scan} has '${here}' in the column ${column} here and '${before}' in line ${earlier.line}`,
          { file, remedy: 'keep one of the two rows' },
        );
    }
    findings.push({
      kind: 'listed-twice',
      path: file,
      message: `line ${row.line}: ${row.scan} is already in line ${earlier.line}, with the same cells`,
    });
    return false;
  });
}

interface ScanAtPath {
  scan: FoundFiles;
  /** Folders below it that its files lie in. */
  inside: string[];
  findings: Finding[];
}

function absentScan(path: string): ScanAtPath {
  const failure = 'there is no such file or folder';
  return { scan: { path, format: 'images', slices: [], failure }, inside: [], findings: [] };
}

/** The scan in a folder, in the only folder of scans below it, or of a volume or DICOM file. */
async function scanAt(path: string): Promise<ScanAtPath> {
  if (!(await stat(path)).isDirectory()) {
    if (volumeName(path) !== undefined) return { scan: await volumeScan(path), inside: [], findings: [] };
    const isDicom = await beginsAsDicom(path);
    const failure = isDicom
      ? null
      : 'is neither a folder nor a volume (NIfTI, MetaImage, NRRD) or DICOM file';
    const scan = {
      path,
      format: isDicom ? ('dicom' as const) : ('images' as const),
      slices: [path],
      failure,
    };
    return { scan, inside: [], findings: [] };
  }
  const listing = await listFolder(path);
  const { findings: own, ...scan } = await readScanFolder(path, listing);
  if (scan.slices.length > 0 || listing.folders.length === 0)
    return { scan: { path, ...scan }, inside: [], findings: own };
  const findings: Finding[] = [];
  const below = await scansBelow({ path, listing }, findings);
  const [only] = below;
  if (below.length === 1) return { scan: { ...only!, path }, inside: [only!.path], findings };
  const names = below.map((each) => basename(each.path));
  const failure =
    below.length === 0
      ? scan.failure
      : `holds ${below.length} scans: ${listed(names)}; a row names one of them`;
  return {
    scan: { path, format: 'images', slices: [], failure },
    inside: below.map((each) => each.path),
    findings,
  };
}

/** Reports the scans below the root that no row names. */
async function reportUnlisted(options: {
  root: string;
  listing: Awaited<ReturnType<typeof listFolder>>;
  file: string;
  /** Folders and files of the scans that have a row. */
  covered: ReadonlySet<string>;
  /** All files of these scans. */
  files: ReadonlySet<string>;
  findings: Finding[];
}) {
  const { listing, file, covered, files, findings } = options;
  const root = resolve(options.root);
  const found: Finding[] = [];
  const all = await scansBelow({ path: root, listing }, found, { skipped: covered });
  const unlisted = all.filter(
    ({ path, slices }) => !covered.has(path) && !slices.every((slice) => files.has(slice)),
  );
  addAll(
    findings,
    found.filter(({ kind }) => kind === 'ignored-folder'),
  );
  if (unlisted.length === 0) return;
  const keys = keysOf(unlisted, root).sort(compareNames);
  findings.push({
    kind: 'unlisted-scan',
    path: file,
    message: `${counted(keys.length, 'scan')} below ${options.root} without a row in the table, left out: ${listed(keys)}`,
  });
}
