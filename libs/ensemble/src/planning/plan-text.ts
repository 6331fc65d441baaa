// The plan of a run as a table for people.
import type { Need } from './expectations.ts';
import type { PlanDescription, PlannedMember } from './describe.ts';

/** A line for each member, then what the whole run needs, then its problems. */
export function planText(plan: PlanDescription): string {
  const kinds = plan.members[0]?.needs.map(({ device }) => device) ?? [];
  const several = kinds.length > 1;
  const head = [
    'member',
    'architecture',
    'scans',
    'state',
    ...kinds.flatMap((kind) => [
      several ? `time on ${kind}` : 'time',
      several ? `memory on ${kind}` : 'peak memory',
    ]),
    'disk',
    'device',
    'from',
    'to',
  ];
  const rows = plan.members.map((member) => [
    member.member,
    member.architecture,
    `${member.scans.train}+${member.scans.val}+${member.scans.test}`,
    member.state,
    ...member.needs.flatMap((need) => [timeOf(need), bytesText(need.memoryBytes)]),
    bytesText(member.diskBytes),
    member.device ?? '–',
    moment(member, 'startsAt'),
    moment(member, 'endsAt'),
  ]);
  const left = plan.members.filter(({ state }) => state !== 'done').length;
  const lines = [
    `Recipe ${plan.recipe}: ${plan.members.length} members, ${left} to be trained, ${plan.epochs} epochs, batches of ${plan.batchSize}; ` +
      `scans are training + validation + test`,
    ...table([head, ...rows]),
    `Devices: ${plan.devices.join(', ')} (engine ${plan.engine})`,
    plan.makespanSeconds === null
      ? 'Time: unknown'
      : `Time: ${duration(plan.makespanSeconds)} until the last member is done; ${duration(plan.totalSeconds!)} for all members one after the other`,
    ...(plan.peakMemoryBytes
      ? [`Memory: ${bytesText(plan.peakMemoryBytes)} at the peak of ${bytesText(plan.memoryBytes)}`]
      : []),
    ...(plan.diskBytes === null
      ? []
      : [
          `Disk: ${bytesText(plan.diskBytes)}${plan.diskFreeBytes === null ? '' : ` of ${bytesText(plan.diskFreeBytes)} free`}`,
        ]),
    ...plan.problems.map((problem) => `PROBLEM  ${problem}`),
  ];
  return lines.join('\n');
}

const timeOf = ({ seconds, source, error }: Need) =>
  seconds === undefined
    ? error === undefined
      ? '–'
      : 'failed'
    : `${duration(seconds)}${source === 'epochs of this run' ? ' *' : ''}`;

const moment = (member: PlannedMember, which: 'startsAt' | 'endsAt') =>
  member[which] === null ? '–' : duration(member[which]);

/** `45 s`, `12 min`, `3 h 05 min`, `2 d 4 h`. */
export function duration(seconds: number): string {
  if (seconds < 99.5) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 100) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, '0')} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function bytesText(bytes: number | undefined): string {
  if (bytes === undefined) return '–';
  if (bytes < 2 ** 20) return `${Math.ceil(bytes / 2 ** 10)} KiB`;
  if (bytes < 2 ** 30) return `${Math.round(bytes / 2 ** 20)} MiB`;
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
}
