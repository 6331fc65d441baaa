// Tables 3 to 6 of the paper for the run at hand: macro F1 of members and ensembles on validation (3: detection, 5: severity) and on
// test scans (4 and 6, the latter with the F1 of each class); the paper's own figures beside them if the recipe is the paper's.
import type { RunInput } from '../input/run-input.ts';
import type { PaperRow, PaperTable, RowReport } from './report-model.ts';

interface Figure {
  /** In percent, as printed. */
  macroF1: number;
  f1?: readonly number[];
}

/** Figures of Bougourzi et al. (ECCV 2022 workshops); keys are the members of this project's recipes. */
const inceptions = ['inception-v3', 'inception-v4', 'inception-resnet-v2'].map((name) => [
  `${name}-1`,
  `${name}-2`,
]);
const keyOf = (members: readonly string[]) => members.toSorted().join(' ');
const severityTest: [string[], Figure][] = [
  [['inception-v3-2'], { macroF1: 39.89, f1: [34.86, 35.44, 58.0, 31.25] }],
  [inceptions[0]!, { macroF1: 43.04, f1: [53.09, 18.52, 63.52, 37.04] }],
  [inceptions[1]!, { macroF1: 45.49, f1: [54.66, 26.79, 63.48, 37.04] }],
  [inceptions[2]!, { macroF1: 44.37, f1: [53.42, 26.67, 60.36, 37.04] }],
  [inceptions.flat(), { macroF1: 47.11, f1: [55.67, 37.88, 55.46, 39.46] }],
];
const dense = [1, 2, 3].map((n) => `densenet161-${n}`);
const published = {
  detection: {
    val: {
      number: 3,
      scans: 484,
      baseline: { macroF1: 77 },
      figures: [
        [[dense[0]!], { macroF1: 88.34 }],
        [[dense[1]!], { macroF1: 88.83 }],
        [[dense[2]!], { macroF1: 87.81 }],
        [dense, { macroF1: 90.07 }],
      ],
    },
    test: {
      number: 4,
      scans: 5281,
      baseline: { macroF1: 66 },
      figures: [
        [[dense[0]!], { macroF1: 81.91 }],
        [[dense[1]!], { macroF1: 77.03 }],
        [dense, { macroF1: 84.37 }],
      ],
    },
  },
  severity: {
    val: {
      number: 5,
      scans: 61,
      baseline: { macroF1: 63 },
      figures: [[inceptions.flat(), { macroF1: 80.08 }]],
    },
    test: {
      number: 6,
      scans: 265,
      baseline: { macroF1: 40.3, f1: [61.1, 39.47, 37.07, 23.54] },
      figures: severityTest,
    },
  },
} satisfies Record<
  string,
  Record<string, { number: number; scans: number; baseline: Figure; figures: [string[], Figure][] }>
>;

const shares = ({ macroF1, f1 }: Figure) => ({
  macroF1: macroF1 / 100,
  f1: f1 === undefined ? null : f1.map((value) => value / 100),
});

export interface PaperTableOptions {
  split: 'val' | 'test';
  rows: readonly RowReport[];
  /** Scored scans of the run. */
  scans: number;
}

/** The run's table in the paper's form; null if the recipe is of neither task. */
export function paperTable(
  { task, asInPaper }: Pick<RunInput, 'task' | 'asInPaper'>,
  { split, rows, scans }: PaperTableOptions,
): PaperTable | null {
  if (task === null) return null;
  const paper = published[task][split];
  const figures = new Map(paper.figures.map(([members, figure]) => [keyOf(members), figure as Figure]));
  const own = rows.map((row): PaperRow => {
    const isMean = row.kind !== 'chosen';
    const figure = asInPaper && isMean ? figures.get(keyOf(row.members)) : undefined;
    return {
      name: row.name,
      members: row.members,
      macroF1: row.scores.macroF1.estimate,
      interval: row.scores.macroF1.interval,
      f1: row.byClass.f1.map(({ estimate }) => estimate),
      paper: figure === undefined ? null : shares(figure),
    };
  });
  const baseline: PaperRow = {
    name: "competition's baseline",
    members: [],
    macroF1: null,
    interval: null,
    f1: rows[0]?.byClass.f1.map(() => null) ?? [],
    paper: shares(paper.baseline),
  };
  const what = `${task === 'detection' ? 'Covid detection' : 'Severity'}, ${split === 'val' ? 'validation' : 'test'} scans`;
  return {
    title: `${what}, as in table ${paper.number} of the paper`,
    notes: asInPaper
      ? [
          scans === paper.scans
            ? `The paper's figures are of ${paper.scans} scans of COV19-CT-DB, as many as here.`
            : `The paper's figures are of ${paper.scans} scans of COV19-CT-DB; this run was scored on ${scans} scans, so the two columns are not of the same scans.`,
          'Rows without a figure of the paper were not published or are not known to this program.',
        ]
      : ['The recipe is not the published one, so the figures of the paper for single rows are left out.'],
    byClass: task === 'severity',
    rows: [...own, ...(asInPaper ? [baseline] : [])],
  };
}
