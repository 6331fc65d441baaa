// docs/cli.md as text: one section for each command, with a table of its options.
import type { Command, Option } from 'commander';

const INTRODUCTION = `# Command lines

Written by \`npx nx run cli-docs:write\` from the definitions of the commands; change those, not this file. Every command
prints the same with \`--help\`. \`--\` separates Nx's own options from those of the command.
`;

/** The whole file. A program without subcommands is one command, named \`project:target\`. */
export function cliMarkdown(programs: readonly Command[]): string {
  const sections = programs.flatMap((program) =>
    program.commands.length === 0
      ? [section(program.name(), program)]
      : program.commands.map((command) => section(`${program.name()}:${command.name()}`, command)),
  );
  return [INTRODUCTION, ...sections].join('\n');
}

function section(target: string, command: Command): string {
  const options = command.options.filter(({ hidden }) => !hidden);
  const args = command.registeredArguments.map((argument) => {
    const name = argument.name().toUpperCase();
    return argument.variadic ? `${name}…` : name;
  });
  const usage =
    options.length === 0
      ? ''
      : ` -- ${[...options.filter(isRequired).map(inUsage), ...args, '[options]'].join(' ')}`;
  const table = tableOf([
    ['option', 'what for', 'default'],
    ...options.map((option) => [code(option.flags), purposeOf(option), defaultOf(option)]),
  ]);
  const choices = options
    .filter(({ argChoices }) => argChoices !== undefined && argChoices.length > IN_TABLE)
    .map(({ long, argChoices }) => `\n${wrapped(`${code(long!)}: ${argChoices!.map(code).join(', ')}.`)}\n`);
  return `## ${target}\n\n${command.description()}\n\n\`\`\`sh\nnpx nx run ${target}${usage}\n\`\`\`\n\n${table}${choices.join('')}`;
}

const isRequired = (option: Option) => option.mandatory && option.defaultValue === undefined;
const inUsage = ({ flags }: Option) => flags.replace(/<(.*)>/, (_, value: string) => value.toUpperCase());
const escaped = (text: string) => text.replaceAll('<', '\\<');
const code = (text: string) => `\`${text}\``;

/** Longer lists of choices stand below the table. */
const IN_TABLE = 3;

/** Descriptions end with the default when commander does not know it: "(default: …)". */
const STATED_DEFAULT = / \(default: (.*)\)$/;

function purposeOf({ description, argChoices }: Option): string {
  const purpose = escaped(description.replace(STATED_DEFAULT, ''));
  if (argChoices === undefined) return purpose;
  const choices =
    argChoices.length > IN_TABLE ? ', one of those below' : `: ${argChoices.map(code).join(' or ')}`;
  return `${purpose}${choices}`;
}

function defaultOf(option: Option): string {
  const { description, defaultValue, defaultValueDescription } = option;
  if (isRequired(option)) return '**required**';
  const stated = STATED_DEFAULT.exec(description)?.[1];
  if (stated !== undefined) return escaped(stated);
  if (defaultValueDescription !== undefined) return escaped(defaultValueDescription);
  if (option.isBoolean()) return 'off';
  if (defaultValue === undefined || (Array.isArray(defaultValue) && defaultValue.length === 0)) return 'none';
  return code(String(defaultValue));
}

/** A table with aligned columns, as Prettier formats it. */
function tableOf(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map((cell) => cell.replaceAll('|', '\\|')));
  const widths = cells[0]!.map((_, column) => Math.max(3, ...cells.map((row) => row[column]!.length)));
  const lines = cells.map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)));
  lines.splice(
    1,
    0,
    widths.map((width) => '-'.repeat(width)),
  );
  return lines.map((row) => `| ${row.join(' | ')} |\n`).join('');
}

/** Lines of at most 120 characters. */
function wrapped(text: string): string {
  return text.replace(/(.{1,120})(?: |$)/g, '$1\n').trimEnd();
}
