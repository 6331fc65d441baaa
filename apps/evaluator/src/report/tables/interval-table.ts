// The main scores of every row with their intervals, as the command line prints them.
import { type ScoreName, scoreTitles } from '@ct-ensemble/evaluation';
import type { RunScores } from '../model/report-of-run.ts';
import { counted } from '../model/words.ts';
import type { Column, Table } from './table.ts';

const shown: ScoreName[] = ['macroF1', 'balancedAccuracy', 'accuracy', 'macroAuroc', 'logLoss'];

export function intervalTable({ split, title, patients, rows }: RunScores): Table {
  return {
    id: `${split}-intervals`,
    title: `${title}: scores with 95 % intervals (BCa, resamples of ${counted(patients, 'patient')})`,
    notes: [],
    columns: [
      { title: 'row' },
      ...shown.map((name): Column => ({ title: scoreTitles[name], kind: 'interval' })),
    ],
    rows: rows.map((row) => [row.name, ...shown.map((name) => row.scores[name])]),
  };
}
