// The command check: whether a submission that someone else made names every scan exactly once, and how submissions agree.
import { basename } from 'node:path';
import { print, UserError } from '@ct-ensemble/core';
import { layoutNames, readDatasetIndex } from '@ct-ensemble/data';
import {
  checkSubmissions,
  type Expected,
  expectedInRun,
  submissionNames,
  type SubmissionFinding,
} from '@ct-ensemble/ensemble';
import { Command, Option } from 'commander';

/** Findings of one kind beyond this number are counted and not printed. */
const MOST_PRINTED = 50;

interface CheckOptions {
  run?: string;
  data?: string;
  layout: string;
  labels?: string;
  classes?: string[];
  json?: boolean;
}

export function checkCommand(): Command {
  return new Command('check')
    .description(
      'Checks submissions, whoever made them: files, encoding, and that every scan is named exactly once. Prints how several submissions agree. The exit code is 1 if one of them has an error.',
    )
    .argument(
      '<path...>',
      'folders of submissions, or their files of classes; files of one folder are one submission',
    )
    .option(
      '--run <dir>',
      "folder of the run whose scans are to be named: the test scans, or else what the run's own submissions name",
    )
    .option(
      '--data <dir>',
      'instead of --run: folder of the data set; its test scans, or else its validation scans, are to be named',
    )
    .addOption(
      new Option('--layout <name>', 'with --data: how the data set is laid out')
        .choices(layoutNames)
        .default('cov19-ct-db'),
    )
    .option('--labels <file>', 'with --data and the layout table: table of scans')
    .option(
      '--classes <names>',
      'with --data: classes, separated by commas (default: those of the data)',
      (text) => text.split(',').map((name) => name.trim()),
    )
    .option('--json', 'print the findings as JSON')
    .action(async (paths: string[], options: CheckOptions) => {
      process.exitCode = await check(paths, options);
    });
}

/** Runs the command. Returns the exit code: 1 if a submission has an error, else 0. */
async function check(paths: readonly string[], options: CheckOptions): Promise<number> {
  const expected = await expectedBy(options);
  const { submissions, agreement } = await checkSubmissions(paths, expected);
  const isValid = submissions.every(({ findings }) => findings.every(({ level }) => level === 'note'));
  if (options.json) {
    const listed = submissions.map(({ answers, ...submission }) => ({ ...submission, named: answers.size }));
    print(JSON.stringify({ scans: expected.scans.length, submissions: listed, agreement }, null, 2));
    return isValid ? 0 : 1;
  }
  for (const { folder, counts, answers, findings } of submissions) {
    const errors = findings.filter(({ level }) => level === 'error');
    const classes = counts.map((each) => `${each.scans} ${each.class}`).join(', ');
    const verdict = errors.length === 0 ? 'valid' : `NOT VALID, ${errors.length} errors`;
    print(
      `${folder}: ${verdict} (${classes}; ${answers.size} of ${expected.scans.length} scans named exactly once)`,
    );
    for (const finding of findings.slice(0, MOST_PRINTED)) print(`  ${lineOf(finding)}`);
    if (findings.length > MOST_PRINTED)
      print(`  and ${findings.length - MOST_PRINTED} more findings; --json lists all of them`);
  }
  if (agreement.length > 0) {
    print("\nAgreement of the submissions: share of the scans in the same class, and Cohen's kappa");
    for (const { a, b, scans, share, kappa } of agreement) {
      const figures =
        share === null
          ? 'no scan in common'
          : `${(100 * share).toFixed(2)} % of ${scans} scans, kappa ${kappa === null ? 'undefined' : kappa.toFixed(3)}`;
      print(`  ${a} and ${b}: ${figures}`);
    }
  }
  return isValid ? 0 : 1;
}

function lineOf({ level, file, line, message }: SubmissionFinding): string {
  const place = file === null ? '' : `${basename(file)}${line === null ? '' : ` line ${line}`}: `;
  return `${level}: ${place}${message}`;
}

async function expectedBy({ run, data, layout, labels, classes }: CheckOptions): Promise<Expected> {
  if ((run === undefined) === (data === undefined))
    throw new UserError('check needs the scans that are to be named', {
      remedy: 'give either --run or --data',
    });
  if (run !== undefined) return expectedInRun(run);
  const index = await readDatasetIndex(data!, {
    layout: labels === undefined ? layout : 'table',
    anyFolder: true,
    allowLeaks: true,
    ...(classes && { classes }),
    ...(labels !== undefined && { table: { file: labels } }),
  });
  const split = index.scans.some((scan) => scan.split === 'test') ? 'test' : 'val';
  const scans = index.scans.filter((scan) => scan.split === split);
  if (scans.length === 0 || index.classes.length === 0)
    throw new UserError(
      `the data set has ${scans.length} scans for test or validation and ${index.classes.length} classes, so there is nothing to check`,
      { file: data!, remedy: 'name a data set with test scans, and its classes with --classes' },
    );
  return { classes: index.classes, scans: submissionNames(scans) };
}
