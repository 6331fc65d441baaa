// The layout `folders`: class folders, with or without folders of splits around them: `[split/]class/scan`. Class folders
// may have any names. `patients.csv` in the root may say which patient a scan is of.
import { basename, dirname, join, relative, sep } from 'node:path';
import { UserError } from '@ct-ensemble/core';
import { mapConcurrent } from '../concurrent.ts';
import { counted, listed, type Finding } from '../findings.ts';
import { columnsOf, headerError, readRows } from '../tables.ts';
import { NoScanError, type FoundScan, type Layout, type LayoutRequest, type LayoutScans } from './layout.ts';
import { hasSplitFolders, splitOf, type Split } from '../splits/split.ts';
import { compareNames, listFolder, volumeName } from './listing.ts';
import { remedyFor, seenInstead, withSeen } from './no-scan.ts';
import { reportStrays, volumesOf } from './scan-folder.ts';
import { keysOf, namesOf, scansBelow, volumeScans, type FoundFiles } from './scan-search.ts';
import { addAll, addToGroup } from '../lists.ts';

export const folders: Layout = {
  name: 'folders',
  description:
    '<root>/<class>/<scan>, or <root>/{train,val,test}/<class>/<scan>, test also without the class folders; ' +
    'a scan is a folder of JPEG or PNG slices or of DICOM files, or a volume file (NIfTI, MetaImage or NRRD)',
  read,
};

/** Folders of a class that are looked through at the same time. */
const FOLDERS_AT_ONCE = 8;

/** A folder of scans, all of one split and class. */
interface Place {
  path: string;
  split: Split | null;
  className: string | null;
}

interface PlacedScan extends FoundFiles {
  place: Place;
}

async function read({ root, listing, classes, findings }: LayoutRequest): Promise<LayoutScans> {
  const inSplits = hasSplitFolders(listing.folders);
  const patientsListed = listing.files.includes(PATIENTS);
  reportFiles(
    root,
    listing.files.filter((file) => file !== PATIENTS),
    findings,
  );
  const known = (name: string) => classes === null || classes.includes(name.normalize('NFC'));
  const refuse = (path: string) =>
    findings.push({
      kind: 'ignored-folder',
      path,
      message: `is no class (${listed(classes ?? [], 10)}); its scans are left out`,
    });
  const placed: PlacedScan[] = [];
  /** Adds the scans below a folder of class folders; returns the names of the classes. */
  const addClasses = async (parent: string, names: readonly string[], split: Split | null) => {
    for (const name of names) {
      const path = join(parent, name);
      if (known(name))
        addAll(placed, await scansAt({ path, split, className: name.normalize('NFC') }, findings));
      else refuse(path);
    }
  };
  if (inSplits) {
    const splits = listing.folders.map((name) => ({ path: join(root, name), split: splitOf(name) }));
    const trainingClasses = new Set(classes ?? []);
    for (const { path, split } of splits) {
      if (split === undefined)
        findings.push({ kind: 'ignored-folder', path, message: 'is no split (train, val, test)' });
      if (split !== 'train' && split !== 'val') continue;
      const inSplit = await listFolder(path);
      reportFiles(path, inSplit.files, findings);
      for (const name of inSplit.folders) trainingClasses.add(name.normalize('NFC'));
      await addClasses(path, inSplit.folders, split);
    }
    for (const { path, split } of splits) {
      if (split !== 'test') continue;
      const inSplit = await listFolder(path);
      const isClass = (name: string) => trainingClasses.has(name.normalize('NFC'));
      await addClasses(path, inSplit.folders.filter(isClass), split);
      const others = { ...inSplit, folders: inSplit.folders.filter((name) => !isClass(name)) };
      addAll(placed, await scansAt({ path, split, className: null }, findings, others));
    }
  } else await addClasses(root, listing.folders, null);
  if (placed.length === 0) {
    const seen = await seenInstead(root);
    const usual = `lay it out as ${folders.description}; or name another layout with --layout, or a table with --labels`;
    throw new NoScanError(withSeen('holds no scan in a class folder', seen), {
      file: root,
      remedy: remedyFor(usual, seen),
    });
  }
  const scans = namedScans(root, placed);
  if (!patientsListed) {
    if (!inSplits) reportPatients(root, scans, findings);
    return { scans, classes, patientFile: null };
  }
  const patientFile = join(root, PATIENTS);
  const patients = await readPatients(patientFile);
  reportAbsent(patientFile, { patients, scans, findings });
  const withPatients = scans.map((scan) => ({ ...scan, patient: patients.get(scan.key) ?? null }));
  return { scans: withPatients, classes, patientFile };
}

/** Table of patients in the root, with the columns class, name and patient, and split if there are folders of splits. */
const PATIENTS = 'patients.csv';

/** Patient by scan key. Throws a UserError with line and field for a row that is not understood. */
async function readPatients(file: string): Promise<Map<string, string>> {
  const [header, ...rows] = await readRows(file);
  const columns = columnsOf(header, ['class', 'name', 'patient']);
  if (columns === undefined) throw headerError(file, header, 'split,class,name,patient');
  const [splitColumn = -1] = columnsOf(header, ['split']) ?? [];
  const patients = new Map<string, string>();
  for (const { line, cells } of rows) {
    const [className = '', name = '', patient = ''] = columns.map((column) => cells[column] ?? '');
    const cell = cells[splitColumn] ?? '';
    const bad = (problem: string, remedy: string) =>
      new UserError(`line ${line}, field ${problem}`, { file, remedy });
    if (cell !== '' && splitOf(cell) === undefined)
      throw bad(`split: '${cell}' is no split`, 'write train, val or test');
    if (name === '') throw bad('name: is empty', 'write the name of the scan');
    if (patient === '') continue;
    const key = [splitOf(cell) ?? '', className, volumeName(name) ?? name]
      .filter((part) => part !== '')
      .join('/')
      .normalize('NFC');
    const earlier = patients.get(key);
    if (earlier !== undefined && earlier !== patient)
      throw bad(
        `patient: ${key} is of ${patient} here and of ${earlier} above`,
        'give each scan one patient',
      );
    patients.set(key, patient);
  }
  return patients;
}

function reportAbsent(
  file: string,
  {
    patients,
    scans,
    findings,
  }: { patients: ReadonlyMap<string, string>; scans: readonly FoundScan[]; findings: Finding[] },
) {
  const present = new Set(scans.map(({ key }) => key));
  const absent = [...patients.keys()].filter((key) => !present.has(key));
  if (absent.length === 0) return;
  const message = `${counted(absent.length, 'scan')} in the table and not on disk: ${listed(absent)}`;
  findings.push({ kind: 'missing-scan', path: file, message });
}

/** The scans of a class folder, or of a test folder: its volume files and everything in its folders. */
async function scansAt(place: Place, findings: Finding[], listing?: Awaited<ReturnType<typeof listFolder>>) {
  const { path } = place;
  const { files, system, unusable, folders } = listing ?? (await listFolder(path));
  reportStrays(path, { folders: [], files, system, unusable }, findings);
  const found = await volumeScans(path, volumesOf(path, files, findings));
  const inFolders = await mapConcurrent(folders, FOLDERS_AT_ONCE, async (name) => {
    const below = join(path, name);
    const reported: Finding[] = [];
    const listing = await listFolder(below);
    return { scans: await scansBelow({ path: below, listing }, reported, { emptyIsScan: true }), reported };
  });
  for (const { scans, reported } of inFolders) {
    addAll(found, scans);
    addAll(findings, reported);
  }
  return found.map((scan): PlacedScan => ({ ...scan, place }));
}

/** Keys are paths below the root, the folders of splits in their usual spelling. Names are unique in each split. */
function namedScans(root: string, placed: readonly PlacedScan[]): FoundScan[] {
  const groups = new Map<string, PlacedScan[]>();
  for (const scan of placed) {
    const { split, className, path } = scan.place;
    const base = split === null ? root : className === null ? path : dirname(path);
    addToGroup(groups, base, scan);
  }
  return [...groups].flatMap(([base, scans]) => {
    const keys = keysOf(scans, base);
    const keyed = scans.map((scan, i) => {
      const key = keys[i]!;
      return { scan, key, name: scan.place.className === null ? key : key.slice(key.indexOf('/') + 1) };
    });
    keyed.sort((a, b) => compareNames(a.key, b.key));
    const names = namesOf(keyed);
    return keyed.map(({ scan: { place, ...files }, key }, i): FoundScan => {
      const { split, className } = place;
      const parts = relative(place.path, files.path).split(sep);
      return {
        key: split === null ? key : `${split}/${key}`,
        name: names[i]!,
        className,
        split,
        patient: split === null && parts.length > 1 ? parts[0]!.normalize('NFC') : null,
        group: null,
        ...files,
      };
    });
  });
}

function reportFiles(folder: string, files: readonly string[], findings: Finding[]) {
  if (files.length === 0) return;
  const message = `${counted(files.length, 'file')} outside any class folder: ${listed(files)}`;
  findings.push({ kind: 'ignored-file', path: folder, message });
}

function reportPatients(root: string, scans: readonly FoundScan[], findings: Finding[]) {
  const named = scans.filter(({ patient }) => patient !== null);
  if (named.length === 0) return;
  const example = named[0]!;
  findings.push({
    kind: 'patient-from-folder',
    path: root,
    message:
      `${counted(named.length, 'scan')} in a folder of their own below the class folder: that folder is taken for the ` +
      `patient, such as ${example.patient} for ${basename(example.path)} (${example.key})`,
  });
}
