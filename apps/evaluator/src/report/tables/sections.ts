// The sections of a report: which tables and charts there are, in which order, with which words.
import { scoreNames, scoreTitles } from '@ct-ensemble/evaluation';
import type {
  DoubtfulScan,
  RowReport,
  RunReport,
  SplitReport,
  UnlabelledReport,
} from '../model/report-model.ts';
import { singlesOf } from '../model/scored-split.ts';
import { counted, inWords, scoreText } from '../model/words.ts';
import { chartsOf } from './charts.ts';
import { runSections } from './run-sections.ts';
import type { Block, Section } from './section.ts';
import { type Cell, type Column, signed, type Table } from './table.ts';

/** All sections of a report, in reading order. */
export function sectionsOf(report: RunReport): Section[] {
  return [
    { id: 'summary', title: 'What this run says', blocks: [sentences(report.headline)], parts: [] },
    ...report.splits.map((split) => splitSection(split, report)),
    ...report.unlabelled.map((split) => unlabelledSection(split, report)),
    ...runSections(report),
  ];
}

function splitSection(split: SplitReport, report: RunReport): Section {
  const id = (name: string) => `${split.split}-${name}`;
  const part = (name: string, title: string, blocks: (Block | null)[]): Section => ({
    id: id(name),
    title,
    blocks: blocks.filter((block) => block !== null),
    parts: [],
  });
  const charts = chartsOf(split, report);
  const about: Context = { split, report, id };
  const parts = [
    part('scores', 'Scores', [
      words(scoreNotes(split, report)),
      chart(charts.scores),
      table(scoreTable(about)),
      table(classTable(about)),
    ]),
    part('confusion', 'Confusion matrices', confusionBlocks(about)),
    part('comparisons', 'Which differences the data can carry', [
      words(split.comparisons.notes),
      list(split.comparisons.words, 6),
      split.comparisons.pairs.length === 0 ? null : table(comparisonTable(about)),
    ]),
    part('paper', 'As in the paper', [split.paper === null ? null : table(paperTableOf(about))]),
    part('combination', 'Combination of members', [
      words(split.combination.notes),
      list(split.combination.rows.flatMap((row) => (row.words === null ? [] : [row.words]))),
      split.combination.rows.length === 0 ? null : table(combinationTable(about)),
      ...chosenBlocks(about),
      chart(charts.size),
      ...agreementBlocks(about),
    ]),
    part('augmentation', 'Test-time augmentation', augmentationBlocks(about)),
    part('thresholds', `ROC and precision-recall curves of ${split.main}`, [
      chart(charts.roc),
      chart(charts.precision),
    ]),
    part('reliability', `Reliability of ${split.main}`, [
      words([
        'A well calibrated row has points on the diagonal: of the scans called with 80 %, four of five are right.',
      ]),
      chart(charts.reliability),
    ]),
    part('doubt', 'Doubt about single scans', [
      words(doubtWords(split)),
      chart(charts.entropy),
      chart(charts.risk),
      split.doubt.conformal.length === 0 ? null : table(conformalTable(about)),
      table(doubtTable(about), 20),
    ]),
    part('errors', `Errors of ${split.main}`, [
      words([
        split.errors.length === 0
          ? 'There is no error on these scans.'
          : `${counted(split.errors.length, 'scan')} of ${split.scans} ${split.errors.length === 1 ? 'is' : 'are'} called wrong; the surest errors come first. Sure errors are worth a look: the label may be wrong, or the scan unlike the others.`,
      ]),
      split.pictures.length === 0 ? null : { kind: 'pictures', groups: split.pictures },
      { kind: 'explanations', scans: inOrderOfInterest(split) },
      split.errors.length === 0 ? null : table(errorTable(about), 20),
    ]),
    part('groups', 'Scores by group', groupBlocks(about)),
    part('failed', 'Scans without probabilities', [
      split.failed.length === 0 ? null : table(failedTable(about), 20),
    ]),
  ];
  return {
    id: split.split,
    title: split.title,
    blocks: [
      sentences([
        `${counted(split.scans, 'scan')} of ${counted(split.patients, 'patient')}: ${report.classes.map((name, k) => `${split.perClass[k]} ${name}`).join(', ')}.`,
        ...split.notes,
      ]),
    ],
    parts: parts.filter(({ blocks }) => blocks.length > 0),
  };
}

interface Context {
  split: SplitReport;
  report: RunReport;
  id: (name: string) => string;
}

const sentences = (of: string[]): Block => ({ kind: 'words', sentences: of });
const words = (of: string[]): Block | null => (of.length === 0 ? null : sentences(of));
const list = (of: string[], first?: number): Block | null =>
  of.length === 0 ? null : { kind: 'list', sentences: of, ...(first === undefined ? {} : { first }) };
const table = (of: Table, first?: number): Block => ({
  kind: 'table',
  table: of,
  ...(first === undefined ? {} : { first }),
});
const chart = (of: Extract<Block, { kind: 'chart' }>['chart'] | null): Block | null =>
  of === null ? null : { kind: 'chart', chart: of };

/** A table's title names its split, so that no two tables of a report have one title. */
const titled = ({ split }: Context, title: string) => `${title} (${split.title.toLowerCase()})`;

function scoreNotes({ rows, split }: SplitReport, { resamples }: RunReport): string[] {
  const chosen = rows.filter(({ choice }) => choice !== null);
  const stretched = chosen.filter(({ scores }) => scores.logLoss.estimate === null);
  const percentile = rows.some(({ scores }) => scores.macroF1.method === 'percentile');
  return [
    `Each score stands with its 95 % interval: BCa, ${resamples} resamples of patients. Log loss, Brier score and expected calibration error are better the less they are.`,
    ...(percentile
      ? [
          'Where BCa does not exist, for example for a row without errors, the interval is the percentile one.',
        ]
      : []),
    ...(chosen.length > 0
      ? [
          `${inWords(chosen.map(({ name }) => name))} ${chosen.length === 1 ? 'chooses' : 'choose'} weights, a temperature or a threshold out of fold. ${split === 'out-of-fold' ? 'The figures are nested: each fold is answered by the choice that was made on the other folds.' : 'The choice was made on the out-of-fold scans, and not on these.'}`,
        ]
      : []),
    ...(stretched.length > 0
      ? [
          `A threshold stretches the probabilities of ${inWords(stretched.map(({ name }) => name))}, so that log loss, Brier score and calibration error do not apply.`,
        ]
      : []),
  ];
}

function scoreTable(about: Context): Table {
  const { split, report, id } = about;
  const others = split.failed.length > 0;
  const always = split.constant;
  // Of two classes quadratic kappa is kappa.
  const names = scoreNames.filter((name) => name !== 'quadraticKappa' || report.classes.length > 2);
  return {
    id: id('scores'),
    title: titled(about, 'Scores of every row'),
    notes: [],
    columns: [
      { title: 'row' },
      ...names.map((name): Column => ({ title: scoreTitles[name], kind: 'interval' })),
      ...(others ? [{ title: 'macro F1 without failed scans', kind: 'score' } as const] : []),
    ],
    rows: [
      ...split.rows.map((row): Cell[] => [
        rowName(row),
        ...names.map((name) => row.scores[name]),
        ...(others ? [row.macroF1WithoutFailed] : []),
      ]),
      [
        `always ${report.classes[always.class]}`,
        ...names.map((name): Cell => ({
          estimate: always.scores[name],
          interval: null,
          method: null,
          percentile: null,
        })),
        ...(others ? [null] : []),
      ],
    ],
  };
}

/** The row's name, with the submissions that it is. */
function rowName({ name, submissions, choice }: Pick<RowReport, 'name' | 'submissions' | 'choice'>): string {
  if (choice !== null) return `${name} (chosen out of fold)`;
  const others = submissions.filter((submission) => submission !== name);
  return others.length === 0 ? name : `${name} (submission ${inWords(others)})`;
}

function classTable(about: Context): Table {
  const { split, report, id } = about;
  const columns = ['f1', 'precision', 'recall', 'specificity', 'auroc', 'auprc'] as const;
  const titles = ['F1', 'precision', 'recall', 'specificity', 'AUROC', 'AUPRC'];
  return {
    id: id('classes'),
    title: titled(about, 'Scores by class'),
    notes: [],
    columns: [
      { title: 'row' },
      { title: 'class' },
      ...titles.map((title): Column => ({ title, kind: 'interval' })),
    ],
    rows: split.rows.flatMap((row) =>
      report.classes.map((name, k): Cell[] => [
        row.name,
        name,
        ...columns.map((column) => row.byClass[column][k]!),
      ]),
    ),
  };
}

function confusionBlocks(about: Context): Block[] {
  const { split, report, id } = about;
  const shown = split.rows.filter(
    ({ name, kind }) => kind === 'ensemble' || kind === 'chosen' || name === split.main,
  );
  const rows = shown.length > 8 ? shown.filter(({ name }) => name === split.main) : shown;
  return rows.map((row) => ({
    kind: 'matrix',
    table: {
      id: id(`confusion-${split.rows.indexOf(row) + 1}`),
      title: titled(about, `Confusion matrix of ${row.name}`),
      notes: [],
      columns: [
        { title: 'true class' },
        ...report.classes.map((name): Column => ({ title: `called ${name}`, kind: 'count' })),
      ],
      rows: row.confusion.map((counts, k): Cell[] => [report.classes[k]!, ...counts]),
    },
    shade: row.confusion.map((counts) => {
      const all = counts.reduce((sum, count) => sum + count, 0);
      return counts.map((count) => (all === 0 ? 0 : count / all));
    }),
  }));
}

function comparisonTable(about: Context): Table {
  const { split, report, id } = about;
  const { pairs } = split.comparisons;
  // Of two classes the AUROC of one is that of the other.
  const tested = report.classes.flatMap((name, k) =>
    report.classes.length > 2 || k === (report.positive ?? 1) ? [{ name, k }] : [],
  );
  return {
    id: id('comparisons'),
    title: titled(about, 'Pairs of rows'),
    notes: [
      'Differences of macro F1, A − B. DeLong compares AUROC, McNemar accuracy: only A and only B count the scans that one row alone has right.',
    ],
    columns: [
      { title: 'A' },
      { title: 'B' },
      { title: 'difference', kind: 'interval' },
      { title: 'p (swap)', kind: 'p' },
      { title: pairs.length > 1 ? 'p (Holm)' : 'p (one pair)', kind: 'p' },
      ...tested.map(({ name }): Column => ({ title: `p (DeLong, ${name})`, kind: 'p' })),
      { title: 'only A', kind: 'count' },
      { title: 'only B', kind: 'count' },
      { title: 'p (McNemar)', kind: 'p' },
      { title: 'p (McNemar, mid-p)', kind: 'p' },
      { title: 'distinguishable' },
    ],
    rows: pairs.map((pair): Cell[] => [
      pair.a,
      pair.b,
      pair.difference,
      pair.swapP,
      pair.adjustedP,
      ...tested.map(({ k }) => pair.delong[k]?.p ?? null),
      pair.mcnemar.onlyA,
      pair.mcnemar.onlyB,
      pair.mcnemar.p,
      pair.mcnemar.midP,
      pair.distinguishable ? 'yes' : 'no',
    ]),
  };
}

function paperTableOf({ split, report, id }: Context): Table {
  const { title, notes, byClass, rows } = split.paper!;
  const classes = byClass ? report.classes : [];
  return {
    id: id('paper'),
    title,
    notes: ['All figures are F1 in %.', ...notes],
    columns: [
      { title: 'row' },
      ...classes.map((name): Column => ({ title: name, kind: 'percent' })),
      { title: 'macro F1', kind: 'percent' },
      { title: '95 % from', kind: 'percent' },
      { title: 'to', kind: 'percent' },
      ...classes.map((name): Column => ({ title: `paper: ${name}`, kind: 'percent' })),
      { title: 'paper: macro F1', kind: 'percent' },
    ],
    rows: rows.map((row): Cell[] => [
      row.name,
      ...classes.map((_, k) => row.f1[k] ?? null),
      row.macroF1,
      ...(row.interval ?? [null, null]),
      ...classes.map((_, k) => row.paper?.f1?.[k] ?? null),
      row.paper?.macroF1 ?? null,
    ]),
  };
}

function combinationTable(about: Context): Table {
  return {
    id: about.id('combination'),
    title: titled(about, 'Combinations, nested'),
    notes: [],
    columns: [
      { title: 'combination' },
      { title: 'macro F1', kind: 'interval' },
      { title: 'accuracy', kind: 'interval' },
      { title: 'log loss', kind: 'interval' },
      { title: 'choice' },
    ],
    rows: about.split.combination.rows.map((row) => [
      row.name,
      row.macroF1,
      row.accuracy,
      row.logLoss,
      row.choice,
    ]),
  };
}

function chosenBlocks(about: Context): (Block | null)[] {
  const { chosen } = about.split.combination;
  if (chosen.length === 0) return [];
  const nested = about.split.split === 'out-of-fold';
  return [
    list(chosen.map(({ words }) => words)),
    table({
      id: about.id('chosen'),
      title: titled(about, `Submissions that choose${nested ? ', nested' : ''}`),
      notes: ['The choice is made on all out-of-fold scans; evaluator:submit applies it to the test scans.'],
      columns: [
        { title: 'submission' },
        { title: 'macro F1', kind: 'interval' },
        { title: 'mean of the same members', kind: 'interval' },
        { title: 'difference', kind: 'interval' },
        { title: chosen.length > 1 ? 'p (Holm)' : 'p', kind: 'p' },
        { title: 'choice' },
      ],
      rows: chosen.map((each) => [each.name, each.macroF1, each.mean, each.difference, each.p, each.choice]),
    }),
  ];
}

function augmentationBlocks(about: Context): Block[] {
  const { augmentation } = about.split;
  const last = augmentation.at(-1);
  if (last === undefined) return [];
  const { estimate, interval } = last.gain;
  const open = interval !== null && interval[0] <= 0 && interval[1] >= 0;
  return [
    sentences([
      'The other tables are without test-time augmentation. The gain is the macro F1 with augmentation minus that without, with the interval of the difference by the bootstrap over patients.',
      ...(estimate === null || interval === null
        ? []
        : [
            `${last.row === 'ensemble' ? 'The mean of all members' : last.row} gains ${signed(estimate)} (95 % interval ${signed(interval[0])} to ${signed(interval[1])}). ${open ? 'The interval holds 0: these scans cannot show that augmentation changes the score.' : 'The interval does not hold 0.'} The intervals of the table are each of one row: among many rows one without 0 is more likely by chance.`,
          ]),
    ]),
    table({
      id: about.id('augmentation'),
      title: titled(about, 'What test-time augmentation gains'),
      notes: augmentation.some(({ row }) => about.split.combination.chosen.some(({ name }) => name === row))
        ? [
            'A submission that chooses makes its choice with augmentation anew; both of its figures are nested out of fold.',
          ]
        : [],
      columns: [
        { title: 'row' },
        { title: 'augmentation' },
        { title: 'scans', kind: 'count' },
        { title: 'macro F1 without', kind: 'score' },
        { title: 'with', kind: 'score' },
        { title: 'gain', kind: 'interval' },
      ],
      rows: augmentation.map(({ row, augmentation: how, scans, plain, augmented, gain }) => [
        row === 'ensemble' ? 'mean of all' : row,
        how,
        scans,
        plain,
        augmented,
        gain,
      ]),
    }),
  ];
}

/** Scans whose explanation is worth a look: the surest errors, the other shown scans, then the others by doubt. */
function inOrderOfInterest({ errors, pictures, doubt }: SplitReport): string[] {
  return [
    ...new Set(
      [errors, pictures.flatMap(({ scans }) => scans), doubt.scans.toSorted(byDoubt)].flatMap((scans) =>
        scans.map(({ key }) => key),
      ),
    ),
  ];
}

function unlabelledSection(of: UnlabelledReport, report: RunReport): Section {
  const { split, title, notes, main, scans, perClass, answered, failed } = of;
  const id = `${split}-unlabelled`;
  const named = report.classes.map((name, k) => `${perClass[k]} ${name}`);
  return {
    id,
    title,
    blocks: [
      sentences([
        ...notes,
        `${main} calls ${inWords(named)}.`,
        ...(answered === null
          ? []
          : [
              `${counted(answered, 'scan')} of ${scans.length} ${answered === 1 ? 'has' : 'have'} exactly one class in the conformal set.`,
            ]),
      ]),
      ...(scans.length === 0
        ? []
        : [
            table(
              doubtTableOf(scans, { id, title: `${title}, in order of doubt`, classes: report.classes }),
              20,
            ),
          ]),
      ...(failed.length === 0
        ? []
        : [table(failedTableOf(failed, { id: `${id}-failed`, title: `Scans that could not be prepared (${title.toLowerCase()})` }), 20)]), // prettier-ignore
      { kind: 'explanations', scans: scans.toSorted(byDoubt).map(({ key }) => key) },
    ],
    parts: [],
  };
}

function agreementBlocks(about: Context): Block[] {
  const { split, id } = about;
  if (split.agreement.length === 0) return [];
  const names = [...new Set(split.agreement.flatMap(({ a, b }) => [a, b]))];
  const shareOf = (a: string, b: string) =>
    a === b ? 1 : split.agreement.find((pair) => (pair.a === a && pair.b === b) || (pair.a === b && pair.b === a))!.agreement.share; // prettier-ignore
  const shares = names.map((a) => names.map((b) => shareOf(a, b)));
  const left = singlesOf(split).length - names.length;
  return [
    {
      kind: 'matrix',
      table: {
        id: id('agreement'),
        title: titled(about, 'Share of scans that two members call the same, in %'),
        notes: left > 0 ? [`The first ${names.length} members; ${left} more are left out.`] : [],
        columns: [{ title: 'member' }, ...names.map((title): Column => ({ title, kind: 'percent' }))],
        rows: shares.map((row, i): Cell[] => [names[i]!, ...row]),
      },
      shade: shares,
    },
    {
      kind: 'table',
      table: {
        id: id('agreement-kappa'),
        title: titled(about, 'Agreement of pairs of members'),
        notes: ['Kappa is the agreement beyond what chance would give.'],
        columns: [
          { title: 'A' },
          { title: 'B' },
          { title: 'same answer', kind: 'percent' },
          { title: 'kappa', kind: 'score' },
        ],
        rows: split.agreement.map(({ a, b, agreement }) => [a, b, agreement.share, agreement.kappa]),
      },
      first: 15,
    },
  ];
}

function doubtWords({ main, doubt }: SplitReport): string[] {
  const risk = (coverage: number) =>
    doubt.riskCoverage.find((point) => Math.abs(point.coverage - coverage) < 1e-9)!.risk;
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  return [
    `If ${main} answered only the half of the scans it is surest of, ${percent(risk(0.5))} of its answers would be wrong, against ${percent(risk(1))} if it answers all. Area under risk and coverage: ${scoreText(doubt.aurc)}, of which ${scoreText(doubt.excessAurc)} is more than the best order would have.`,
    ...doubt.notes,
    ...doubt.conformal.slice(0, 1).map(({ guarantee }) => `Conformal sets: ${guarantee}`),
  ];
}

function conformalTable(about: Context): Table {
  return {
    id: about.id('conformal'),
    title: titled(about, 'Conformal sets'),
    notes: ['One class in the set: it is the answer. None or several: the scan goes to a reader.'],
    columns: [
      { title: 'method' },
      { title: 'nominal coverage in %', kind: 'percent' },
      { title: 'coverage in %', kind: 'percent' },
      { title: 'mean size of a set', kind: 'number' },
      { title: 'scans answered', kind: 'count' },
      { title: 'right of the answered in %', kind: 'percent' },
    ],
    rows: about.split.doubt.conformal.map((each) => [
      each.method === 'lac' ? 'smallest sets (LAC)' : 'adaptive sets (APS)',
      1 - each.alpha,
      each.coverage,
      each.meanSize,
      each.answered,
      each.rightOfAnswered,
    ]),
  };
}

function doubtTable(about: Context): Table {
  const { split, report, id } = about;
  const title = titled(about, 'Scans in order of doubt');
  return doubtTableOf(split.doubt.scans, { id: id('doubt'), title, classes: report.classes });
}

const byDoubt = (a: DoubtfulScan, b: DoubtfulScan) => b.entropy - a.entropy || (a.key < b.key ? -1 : 1);

/** The most doubtful scans first; without a column of true classes if none is known. */
export function doubtTableOf(
  scans: readonly DoubtfulScan[],
  { id, title, classes }: { id: string; title: string; classes: readonly string[] },
): Table {
  const rows = scans.toSorted(byDoubt);
  const known = rows.some(({ label }) => label !== null);
  const several = rows.some(({ mutualInformation }) => mutualInformation !== null);
  const sets = rows.some(({ conformal }) => conformal !== null);
  const name = (k: number | null) => (k === null ? null : classes[k]!);
  const setText = (set: number[] | null) =>
    set === null ? null : set.length === 0 ? 'none' : set.map((k) => classes[k]!).join(', ');
  return {
    id,
    title,
    notes: [],
    columns: [
      { title: 'scan' },
      ...(known ? [{ title: 'true' }] : []),
      { title: 'called' },
      { title: 'probability', kind: 'score' },
      { title: 'entropy (0 … 1)', kind: 'score' },
      ...(several
        ? ([
            { title: 'mutual information (nats)', kind: 'number' },
            { title: 'members against in %', kind: 'percent' },
          ] as const)
        : []),
      ...(sets ? [{ title: 'conformal set' }] : []),
    ],
    rows: rows.map((scan): Cell[] => [
      scan.key,
      ...(known ? [name(scan.label)] : []),
      name(scan.predicted),
      scan.confidence,
      scan.entropy,
      ...(several ? [scan.mutualInformation, scan.votesAgainst] : []),
      ...(sets ? [setText(scan.conformal)] : []),
    ]),
  };
}

function errorTable(about: Context): Table {
  const { split, report, id } = about;
  return {
    id: id('errors'),
    title: titled(about, `Errors of ${split.main}, the surest first`),
    notes: [],
    columns: [
      { title: 'scan' },
      { title: 'true' },
      { title: 'called' },
      { title: 'probability', kind: 'score' },
    ],
    rows: split.errors.map(({ key, label, predicted, confidence }) => [
      key,
      report.classes[label]!,
      report.classes[predicted]!,
      confidence,
    ]),
  };
}

function groupBlocks(about: Context): Block[] {
  return about.split.groups.flatMap(({ column, values, words: worst }, i): Block[] => [
    { kind: 'words', sentences: [worst] },
    {
      kind: 'table',
      table: {
        id: about.id(`group-${i + 1}`),
        title: titled(about, `Scores of ${about.split.main} by ${column}`),
        notes: values.some(({ macroF1 }) => macroF1 === null)
          ? ['A dash as macro F1: the group has no scan of some class, which would count 0.']
          : [],
        columns: [
          { title: column },
          { title: 'scans', kind: 'count' },
          { title: 'patients', kind: 'count' },
          { title: 'macro F1', kind: 'interval' },
          { title: 'accuracy', kind: 'interval' },
        ],
        rows: values.map((each) => [each.value, each.scans, each.patients, each.macroF1, each.accuracy]),
      },
    },
  ]);
}

const failedTable = (about: Context): Table =>
  failedTableOf(about.split.failed, {
    id: about.id('failed'),
    title: titled(about, 'Scans that could not be prepared'),
  });

const failedTableOf = (
  failed: readonly { key: string; reason: string }[],
  about: Pick<Table, 'id' | 'title'>,
): Table => ({
  ...about,
  notes: [],
  columns: [{ title: 'scan' }, { title: 'reason' }],
  rows: failed.map(({ key, reason }) => [key, reason]),
});
