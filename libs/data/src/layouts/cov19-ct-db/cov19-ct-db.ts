// The layout of COV19-CT-DB, the database of the COV19D competition: splits, two class folders, scans; for severity, lists
// of categories in the root.
import { basename, join } from 'node:path';
import { UserError } from '@ct-ensemble/core';
import { mapConcurrent } from '../../concurrent.ts';
import { counted, listed, type Finding } from '../../findings.ts';
import { type FoundScan, type Layout, type LayoutRequest, type LayoutScans } from '../layout.ts';
import { SPLITS, splitOf, type Split } from '../../splits/split.ts';
import { listFolder, volumeName, type FolderListing } from '../listing.ts';
import { readScanFolder, reportStrays, reportUnusable, volumeFiles, volumesOf } from '../scan-folder.ts';
import { remedyFor, seenInstead, withSeen } from '../no-scan.ts';
import { readPatients } from './patients.ts';
import { readSeverityLists } from './severity-lists.ts';
import { classOf, COMPETITION_TASKS, scanName, type ClassFolder, type CompetitionTask } from './spelling.ts';
import { addAll } from '../../lists.ts';

export const cov19CtDb: Layout = {
  name: 'cov19-ct-db',
  description:
    '<root>/{train,val}/{covid,non-covid}/ct_scan_N/K.jpg, and optionally <root>/test/<scan>/K.jpg; ' +
    'a scan is a folder of JPEG or PNG slices or of DICOM files, or a volume file (NIfTI, MetaImage or NRRD)',
  read,
};

/** A scan's folder, or its one file, before it is opened. */
interface ScanFolder {
  key: string;
  split: Split;
  className: ClassFolder | null;
  name: string;
  folder: string;
  isFile: boolean;
}

/**
 * For the classes of severity, the scans of the covid folders that the category lists name, and the test scans; else all
 * scans.
 */
async function read({ root, listing, classes, findings }: LayoutRequest): Promise<LayoutScans> {
  const task = taskOf(root, classes);
  const folders = await findScanFolders(root, listing, findings);
  const wanted = task === 'severity' ? folders.filter(({ className }) => className !== 'non-covid') : folders;
  const classNames = await classNamesOf({ root, task, folders: wanted, files: listing.files, findings });
  const patients = await readPatients(root, listing.files, findings);
  const known = wanted.filter(({ key }) => classNames.has(key));
  const scans = await mapConcurrent(known, 16, async ({ key, split, folder, isFile }) => {
    const { findings: found, ...files } = isFile
      ? { ...(await volumeFiles(folder)), findings: [] }
      : await readScanFolder(folder, await listFolder(folder));
    const scan: FoundScan = {
      key,
      name: isFile ? volumeName(basename(folder))! : basename(folder),
      path: folder,
      className: classNames.get(key) ?? null,
      split,
      patient: patients?.byScan.get(key) ?? null,
      group: null,
      ...files,
    };
    return { scan, found };
  });
  for (const { found } of scans) addAll(findings, found);
  if (patients !== null) reportAbsentScans(patients, folders, findings);
  return {
    scans: scans.map(({ scan }) => scan),
    classes: classes ?? COMPETITION_TASKS[task],
    patientFile: patients?.file ?? null,
  };
}

/** The task that has these classes, in any order; detection if none are given. */
function taskOf(root: string, classes: readonly string[] | null): CompetitionTask {
  if (classes === null) return 'detection';
  const sorted = (names: readonly string[]) => JSON.stringify([...names].sort());
  for (const [task, names] of Object.entries(COMPETITION_TASKS))
    if (sorted(names) === sorted(classes)) return task as CompetitionTask;
  const tasks = Object.values(COMPETITION_TASKS).map((names) => names.join(', '));
  throw new UserError(`the layout ${cov19CtDb.name} has no classes ${classes.join(', ')}`, {
    file: root,
    remedy: `its classes are ${tasks.join(' or ')}: use those, or another layout with --layout`,
  });
}

/** All scan folders below the root. */
async function findScanFolders(root: string, rootListing: FolderListing, findings: Finding[]) {
  const scans: ScanFolder[] = [];
  const addAll = (parent: string, names: string[], of: Pick<ScanFolder, 'split' | 'className'>) => {
    for (const folder of names) {
      const name = scanName(folder);
      scans.push({ ...of, key: keyOf(of, name), name, folder: join(parent, folder), isFile: false });
    }
    const respelt = names.filter((folder) => scanName(folder) !== folder);
    if (respelt.length > 0)
      findings.push({
        kind: 'spelling',
        path: parent,
        message: `${counted(respelt.length, 'scan folder')} read under the usual spelling, such as ${respelt[0]} as ${scanName(respelt[0]!)}`,
      });
  };
  const addFiles = (parent: string, files: string[], of: Pick<ScanFolder, 'split' | 'className'>) => {
    for (const file of volumesOf(parent, files, findings)) {
      const name = scanName(volumeName(file)!);
      scans.push({ ...of, key: keyOf(of, name), name, folder: join(parent, file), isFile: true });
    }
  };
  reportUnusable(root, rootListing, findings);
  for (const splitFolder of rootListing.folders) {
    const split = splitOf(splitFolder);
    const splitPath = join(root, splitFolder);
    if (split === undefined) {
      findings.push({ kind: 'ignored-folder', path: splitPath, message: 'is no split (train, val, test)' });
      continue;
    }
    const inSplit = await listFolder(splitPath);
    reportStrays(splitPath, inSplit, findings);
    const others = inSplit.folders.filter((folder) => classOf(folder) === undefined);
    if (split === 'test') {
      addAll(splitPath, others, { split, className: null });
      addFiles(splitPath, inSplit.files, { split, className: null });
    } else
      for (const folder of others)
        findings.push({
          kind: 'ignored-folder',
          path: join(splitPath, folder),
          message: `is no class (${[...COMPETITION_TASKS.detection].reverse().join(', ')})`,
        });
    for (const classFolder of inSplit.folders) {
      const className = classOf(classFolder);
      if (className === undefined) continue;
      const classPath = join(splitPath, classFolder);
      const inClass = await listFolder(classPath);
      reportStrays(classPath, inClass, findings);
      addAll(classPath, inClass.folders, { split, className });
      addFiles(classPath, inClass.files, { split, className });
    }
  }
  const splits = new Set(scans.map(({ split }) => split));
  if (!splits.has('train') && !splits.has('val')) {
    const seen = await seenInstead(root);
    throw new UserError(withSeen('holds no scan for training or validation', seen), {
      file: root,
      remedy: remedyFor(`lay it out as ${cov19CtDb.description}`, seen),
    });
  }
  for (const split of ['train', 'val'] as const)
    if (!splits.has(split))
      findings.push({ kind: 'missing-split', path: root, message: `holds no scan of ${split}` });
  return scans;
}

const keyOf = ({ split, className }: Pick<ScanFolder, 'split' | 'className'>, name: string) =>
  [split, className, name].filter((part) => part !== null).join('/');

/** Class of each scan that belongs to the task, by key; null if it is not known. */
async function classNamesOf(options: {
  root: string;
  task: CompetitionTask;
  folders: readonly ScanFolder[];
  files: readonly string[];
  findings: Finding[];
}): Promise<Map<string, string | null>> {
  const { root, task, folders, files, findings } = options;
  if (task === 'detection') return new Map(folders.map(({ key, className }) => [key, className]));
  const classNames = new Map<string, string | null>();
  const lists = await readSeverityLists(root, files, findings);
  for (const split of SPLITS) {
    const inSplit = folders.filter((scan) => scan.split === split);
    const list = lists.get(split);
    if (list === undefined && split !== 'test' && inSplit.length > 0)
      throw new UserError(`there is no list of the severity categories of ${split}`, {
        file: root,
        remedy: `add ${split}_partition_covid_categories.csv (header Name;Category) or the same as .xlsx`,
      });
    for (const { key, name } of inSplit) {
      const entry = list?.entries.get(name);
      if (entry !== undefined || split === 'test') classNames.set(key, entry?.className ?? null);
    }
    if (list === undefined) continue;
    const unlisted = inSplit.filter(({ name }) => !list.entries.has(name)).map(({ name }) => name);
    if (unlisted.length > 0)
      findings.push({
        kind: 'unlisted-scan',
        path: list.file,
        message:
          `${counted(unlisted.length, 'covid scan')} of ${split} not in the list, ` +
          `${split === 'test' ? 'kept without a label' : 'left out'}: ${listed(unlisted)}`,
      });
    const present = new Set(inSplit.map(({ name }) => name));
    for (const [name, { line }] of list.entries)
      if (!present.has(name))
        findings.push({
          kind: 'missing-scan',
          path: list.file,
          message: `line ${line}: ${name} has no folder among the covid scans of ${split}`,
        });
  }
  return classNames;
}

function reportAbsentScans(
  { file, byScan }: { file: string; byScan: ReadonlyMap<string, string> },
  folders: readonly ScanFolder[],
  findings: Finding[],
) {
  const present = new Set(folders.map(({ key }) => key));
  const absent = [...byScan.keys()].filter((key) => !present.has(key));
  if (absent.length > 0)
    findings.push({
      kind: 'missing-scan',
      path: file,
      message: `${counted(absent.length, 'scan')} in the table and not on disk: ${listed(absent)}`,
    });
}
