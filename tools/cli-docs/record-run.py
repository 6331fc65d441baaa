"""Records `trainer:all-members` with the recipe quick in a pseudo-terminal and draws two of its screens as docs/images/run.svg.

Usage, from the root of the workspace after a build (needs `pip install pyte`): python3 tools/cli-docs/record-run.py
The run and its phantom scans are made in a temporary folder. The picture shows the screen while members train (when two
of them are past epoch 12) and, below, the lines of the same screen that are different when the run has ended.
"""

import fcntl
import html
import os
import pty
import re
import struct
import tempfile
import termios
from pathlib import Path

import pyte

ROOT = Path(__file__).resolve().parents[2]
COLUMNS, ROWS = 100, 40
COMMAND = '$ npx nx run trainer:all-members -- --devices cpu:1,cpu:1'
COLOURS = {'default': '#e6edf3', 'green': '#3fb950', 'brown': '#d29922', 'red': '#ff7b72', 'cyan': '#39c5cf', 'blue': '#58a6ff'}
FAINT = '#8b949e'
LINE, CHARACTER, FONT, MARGIN = 19, 8.05, 13.4, 18


def record():
    """The screens in order, each a list of lines; a line is a list of (colour, is bold, text)."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(tempfile.mkdtemp(prefix='ct-ensemble-picture-'))
        os.environ['TERM'] = 'xterm-256color'
        program = str(ROOT / 'apps/trainer/dist/main.js')
        os.execvp('node', ['node', program, 'all-members', '--devices', 'cpu:1,cpu:1'])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', ROWS, COLUMNS, 0, 0))
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    while True:
        try:
            output = os.read(terminal, 65536)
        except OSError:  # the program has ended
            break
        if not output:
            break
        stream.feed(output)
        yield lines_of(screen)
    _, status = os.waitpid(process, 0)
    if status != 0:
        raise SystemExit(f'the run failed with status {status}')


def lines_of(screen):
    lines = []
    for y in range(ROWS):
        runs = []
        for x in range(COLUMNS):
            cell = screen.buffer[y][x]
            style = (cell.fg, cell.bold)
            if runs and runs[-1][:2] == style:
                runs[-1] = (*style, runs[-1][2] + cell.data)
            else:
                runs.append((*style, cell.data))
        lines.append(runs)
    while lines and not text_of(lines[-1]):
        lines.pop()
    return lines


def text_of(runs):
    return ''.join(text for _, _, text in runs).rstrip()


def is_middle(lines):
    epochs = [int(epoch) for line in lines if ' training ' in text_of(line) for epoch in re.findall(r'(?<!\S)(\d+)/24(?!\S)', text_of(line))]
    return len(epochs) >= 2 and min(epochs) > 12


def drawn(lines, y):
    for i, runs in enumerate(lines):
        left, spans = len(text_of(runs)), ''
        for colour, is_bold, text in runs:
            text, left = text[: max(left, 0)], left - len(text)
            if text:
                fill = colour if colour.startswith('#') else COLOURS.get(colour, COLOURS['default'])
                weight = ' font-weight="bold"' if is_bold else ''
                spans += f'<tspan fill="{fill}"{weight}>{html.escape(text)}</tspan>'
        if spans:
            yield f'<text x="{MARGIN}" y="{y + i * LINE}" xml:space="preserve">{spans}</text>'


def picture(middle, end):
    same = next(i for i, (a, b) in enumerate(zip(middle, end)) if a != b)
    top, bottom = [[(FAINT, False, COMMAND)], *middle], end[same:]
    width = round(COLUMNS * CHARACTER + 2 * MARGIN)
    rule = 54 + len(top) * LINE
    height = rule + 42 + len(bottom) * LINE
    return '\n'.join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label="Terminal during and after a run of the recipe quick">',
        f'<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8" fill="#0d1117" stroke="#6e7681"/>',
        *(f'<circle cx="{20 + 18 * i}" cy="18" r="5.5" fill="{colour}"/>' for i, colour in enumerate(['#ff5f57', '#febc2e', '#28c840'])),
        f'<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="{FONT}">',
        *drawn(top, 52),
        f'<line x1="{MARGIN}" x2="{width - MARGIN}" y1="{rule}" y2="{rule}" stroke="#30363d" stroke-dasharray="4 4"/>',
        f'<text x="{width - MARGIN}" y="{rule + 16}" text-anchor="end" fill="{FAINT}" font-size="11.5">the end of the same run</text>',
        *drawn(bottom, rule + 34),
        '</g></svg>',
        '',
    ])


middle = None
for screen in record():
    if middle is None and is_middle(screen):
        middle = screen
    end = screen
(ROOT / 'docs/images/run.svg').write_text(picture(middle, end), encoding='utf8')
