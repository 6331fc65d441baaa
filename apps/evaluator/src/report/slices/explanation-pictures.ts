// The explanations of a run for its report: as evaluator:explain has written them, their pictures smaller.
import { type FigurePicture, readExplanations, type ScanExplanation } from '@ct-ensemble/ensemble';
import sharp from 'sharp';
import type { RunReport } from '../model/report-model.ts';

/** Pixels of a picture in the report, at most. */
const mostWidth = 1000;

export interface ReportExplanations {
  explanations: Map<string, { explanation: ScanExplanation; picture: FigurePicture }>;
  /** Files that are not shown, and why, one line each. */
  problems: string[];
}

/** Reads the explanations of the scans that a report answers; those of other scans or classes are problems. */
export async function reportExplanations(
  folder: string,
  { classes, splits, unlabelled }: Pick<RunReport, 'classes' | 'splits' | 'unlabelled'>,
): Promise<ReportExplanations> {
  const known = new Set([
    ...splits.flatMap(({ doubt }) => doubt.scans.map(({ key }) => key)),
    ...unlabelled.flatMap(({ scans }) => scans.map(({ key }) => key)),
  ]);
  const { explanations: stored, problems } = await readExplanations(folder);
  const explanations: ReportExplanations['explanations'] = new Map();
  for (const { explanation, png } of stored) {
    const { scan } = explanation;
    if (explanation.classes.join('\n') !== classes.join('\n'))
      problems.push(`${folder}: the explanation of ${scan} is of another run: it has the classes ${explanation.classes.join(', ')}`); // prettier-ignore
    else if (!known.has(scan))
      problems.push(
        `${folder}: the explanation of ${scan} is not shown, because the report has no answer to this scan`,
      );
    else
      try {
        explanations.set(scan, { explanation, picture: await smaller(png) });
      } catch {
        problems.push(`${folder}: the picture of the explanation of ${scan} is damaged`);
      }
  }
  return { explanations, problems };
}

async function smaller(png: Uint8Array): Promise<FigurePicture> {
  const { data, info } = await sharp(png)
    .resize({ width: mostWidth, withoutEnlargement: true })
    .webp({ quality: 70 })
    .toBuffer({ resolveWithObject: true });
  return { mediaType: 'image/webp', bytes: data, width: info.width, height: info.height };
}
