/**
 * `conclave completion SHELL`: prints a script by which the shell completes commands and options. It is made from the
 * commands themselves, so that it knows what they know.
 */
import type { Command } from 'commander';
import { UsageError } from './outcome.ts';
import type { Terminal } from './terminal.ts';

interface Word {
  readonly path: string;
  readonly word: string;
  readonly description: string;
}

const SHELLS: Readonly<Record<string, (words: readonly Word[]) => string>> = { bash, zsh, fish };

export function addCompletion(program: Command, terminal: Terminal): void {
  program
    .command('completion')
    .argument('<shell>', Object.keys(SHELLS).join(', '))
    .description('print a script by which your shell completes commands and options')
    .action((shell: string) => {
      const print = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
      if (print === undefined)
        throw new UsageError(
          `no completion for ${shell}; there is one for ${Object.keys(SHELLS).join(', ')}`,
        );
      terminal.out(print(wordsOf(program, '')));
    });
}

/** What may stand behind each command: subcommands and long options. */
function wordsOf(command: Command, path: string): Word[] {
  const below = command.commands.flatMap((each) => [
    { path, word: each.name(), description: each.description() },
    ...wordsOf(each, path === '' ? each.name() : `${path} ${each.name()}`),
  ]);
  const options = command.options.flatMap(({ long, description }) =>
    long == null ? [] : [{ path, word: long, description }],
  );
  return [...below, ...options, { path, word: '--help', description: 'say how it is used' }];
}

const TEXT = /[^\p{L}\p{N} .,:()-]/gu;

/** The commands on the line so far, without options, as far as there are such; then what may follow them. */
function bash(words: readonly Word[]): string {
  const byPath = Map.groupBy(words, ({ path }) => path);
  const cases = [...byPath].map(
    ([path, each]) => `    '${path}') words='${each.map(({ word }) => word).join(' ')}' ;;`,
  );
  return `# bash completion of conclave: source <(conclave completion bash)
_conclave() {
  local words path='' word next
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    next="\${path:+$path }$word"
    case "$next" in
${[...byPath.keys()]
  .filter((path) => path !== '')
  .map((path) => `    '${path}') path=$next ;;`)
  .join('\n')}
    esac
  done
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
  [ \${#COMPREPLY[@]} -gt 0 ] || compopt -o default
}
complete -F _conclave conclave`;
}

/** zsh runs bash's. */
function zsh(words: readonly Word[]): string {
  return `# zsh completion of conclave: source <(conclave completion zsh)
autoload -U +X bashcompinit && bashcompinit
${bash(words)}`;
}

function fish(words: readonly Word[]): string {
  const lines = words.map(({ path, word, description }) => {
    const condition =
      path === ''
        ? '__fish_use_subcommand'
        : path
            .split(' ')
            .map((part) => `__fish_seen_subcommand_from ${part}`)
            .join('; and ');
    const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-f -a ${word}`;
    return `complete -c conclave -n '${condition}' ${what} -d '${description.replaceAll(TEXT, '')}'`;
  });
  return ['# fish completion of conclave: conclave completion fish | source', ...lines].join('\n');
}
