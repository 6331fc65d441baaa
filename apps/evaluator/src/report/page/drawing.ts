// Charts as SVG, drawn by ECharts without a browser. Colours are variables of the page's style sheet, so that one drawing serves the
// light and the dark page and print.
import { BarChart, CustomChart, LineChart } from 'echarts/charts';
import { GridComponent, LegendComponent } from 'echarts/components';
import { type EChartsCoreOption, init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import type { Axis, Chart, Series } from '../tables/chart.ts';
import { escaped, type Markup, trusted } from './html.ts';

use([BarChart, CustomChart, LineChart, GridComponent, LegendComponent, SVGRenderer]);

const width = 400;
const fontSize = 13;
const fontFamily = 'system-ui, sans-serif';

/** Colours that ECharts sees, and the variables that replace them in the drawing. */
const variables = {
  '#010101': '--ink',
  '#020202': '--faint',
  '#030303': '--grid',
  '#040404': '--page',
  '#11a001': '--c1',
  '#11a002': '--c2',
  '#11a003': '--c3',
  '#11a004': '--c4',
  '#11a005': '--c5',
  '#11a006': '--c6',
} as const;
const ink = '#010101';
const faint = '#020202';
const gridColour = '#030303';
const colours = ['#11a001', '#11a002', '#11a003', '#11a004', '#11a005', '#11a006'] as const;
const dashes = ['solid', [7, 3], [2, 3], [9, 3, 2, 3]] as const;
const symbols = ['circle', 'rect', 'triangle', 'diamond'] as const;

/** The drawing of a chart with its text alternative. */
export function drawing(chart: Chart): Markup {
  const { option, height } = optionOf(chart);
  const plot = init(null, null, { renderer: 'svg', ssr: true, width, height });
  try {
    plot.setOption({ animation: false, textStyle: { fontFamily, fontSize, color: ink }, ...option });
    return trusted(finished(plot.renderToSVGString(), { chart, height }));
  } finally {
    plot.dispose();
  }
}

/** The drawing with a role, a text alternative, ids of its own and variables for colours; it scales with the page. */
function finished(svg: string, { chart, height }: { chart: Chart; height: number }): string {
  const body = svg
    .replace(/^<svg[^>]*>/, '')
    // Texts are escaped and hold no quote, so only attributes match. Classes and styles are of hovering.
    .replaceAll(/<style\s*>.*?<\/style>/gs, '')
    .replaceAll(/ (?:class|ecmeta_\w+|pointer-events)="[^"]*"/g, '')
    // ECharts' own black: of clipping paths, of lines and of boxes that are not seen.
    .replaceAll(/fill="(?:#000|rgb\(0,0,0\))"/g, 'fill="none"')
    .replaceAll(/\bzr\d+-(c\d+)(?=[")])/g, `${chart.id}-$1`)
    .replaceAll(/(fill|stroke)="(#[0-9a-f]{6})"/g, (all: string, property: string, colour: string) =>
      Object.hasOwn(variables, colour)
        ? `${property}="var(${variables[colour as keyof typeof variables]})"`
        : all,
    );
  const label = escaped(`${chart.title}. ${chart.alternative}`);
  return `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="${label}" viewBox="0 0 ${width} ${height}" preserveAspectRatio="xMidYMid meet">${body}`;
}

function optionOf(chart: Chart): { option: EChartsCoreOption; height: number } {
  switch (chart.kind) {
    case 'lines': {
      const named = chart.series.length <= 8;
      const legendRows =
        named && chart.series.length > 1 ? legendHeight(chart.series.map(({ name }) => name)) : 0;
      const height = 280 + legendRows;
      return {
        height,
        option: {
          grid: gridOf(legendRows),
          ...(legendRows === 0 ? {} : { legend: legendOf(chart.series.map(({ name }) => name)) }),
          xAxis: axisOf(chart.x, 'x'),
          yAxis: axisOf(chart.y, 'y'),
          series: chart.series.map(lineOf),
        },
      };
    }
    case 'bars': {
      const legendRows = legendHeight(chart.series.map(({ name }) => name));
      return {
        height: 280 + legendRows,
        option: {
          grid: gridOf(legendRows),
          legend: legendOf(chart.series.map(({ name }) => name)),
          xAxis: axisOf(chart.x, 'x'),
          yAxis: axisOf(chart.y, 'y'),
          series: chart.series.map(({ name, counts }, i) => ({
            type: 'bar',
            name,
            stack: 'all',
            data: counts,
            silent: true,
            barCategoryGap: '15%',
            itemStyle: { color: colours[i % colours.length], borderColor: '#040404', borderWidth: 1 },
          })),
        },
      };
    }
    case 'ranges':
      return rangesOf(chart);
    default:
      return chart satisfies never;
  }
}

function lineOf({ name, points, marked = false, style }: Series, i: number) {
  const reference = style === 'reference';
  const colour = reference ? faint : colours[i % colours.length];
  return {
    type: 'line',
    name,
    data: points.map(([x, y]) => [x, y ?? '-']),
    silent: true,
    clip: true,
    showSymbol: marked,
    symbol: marked ? symbols[i % symbols.length] : 'none',
    symbolSize: 6,
    ...(style === 'step' ? { step: 'start' } : {}),
    itemStyle: { color: colour },
    lineStyle: {
      color: colour,
      width: style === 'thin' ? 1 : reference ? 1.2 : 2,
      type: reference ? [4, 4] : dashes[Math.floor(i / colours.length) % dashes.length],
    },
  };
}

function rangesOf({ x, rows, reference }: Extract<Chart, { kind: 'ranges' }>) {
  const step = 26;
  const height = 62 + step * rows.length + (reference === null ? 0 : 20);
  const drawRange = (_: unknown, api: RangeApi) => {
    const [row, low, high, estimate] = [0, 1, 2, 3].map((dim) => api.value(dim));
    const at = (value: number) => api.coord([value, row!]);
    const [[x1, y], [x2], [xe]] = [at(low!), at(high!), at(estimate!)] as [number[], number[], number[]];
    const line = (shape: object) => ({ type: 'line', shape, style: { stroke: colours[0], lineWidth: 2 } });
    return {
      type: 'group',
      children: [
        line({ x1, y1: y, x2, y2: y }),
        line({ x1, y1: y! - 4, x2: x1, y2: y! + 4 }),
        line({ x1: x2, y1: y! - 4, x2, y2: y! + 4 }),
        { type: 'circle', shape: { cx: xe, cy: y, r: 4.5 }, style: { fill: colours[0] } },
      ],
    };
  };
  const known = rows.flatMap(({ estimate, interval }, i) =>
    estimate === null ? [] : [[i, interval?.[0] ?? estimate, interval?.[1] ?? estimate, estimate]],
  );
  return {
    height,
    option: {
      grid: {
        left: 24,
        right: 16,
        top: reference === null ? 8 : 28,
        bottom: 26,
        outerBoundsMode: 'same',
        outerBoundsContain: 'axisLabel',
      },
      ...(reference === null ? {} : { legend: { ...legendOf([reference.name]), bottom: undefined, top: 0 } }),
      xAxis: axisOf(x, 'x'),
      yAxis: {
        type: 'category',
        inverse: true,
        data: rows.map(({ name }) => name),
        axisLine: { lineStyle: { color: gridColour } },
        axisTick: { show: false },
        axisLabel: { color: ink, fontSize, fontFamily, width: 140, overflow: 'truncate' },
      },
      series: [
        {
          type: 'custom',
          data: known,
          renderItem: drawRange,
          encode: { x: [1, 2, 3], y: 0 },
          silent: true,
          clip: true,
        },
        ...(reference === null
          ? []
          : [
              {
                type: 'line',
                name: reference.name,
                silent: true,
                symbol: 'none',
                data: [
                  [reference.at, 0],
                  [reference.at, rows.length - 1],
                ],
                itemStyle: { color: faint },
                lineStyle: { color: faint, width: 1.2, type: [4, 4] },
              },
            ]),
      ],
    },
  };
}

interface RangeApi {
  value: (dimension: number) => number;
  coord: (point: number[]) => number[];
}

function axisOf({ title, low, high, categories, whole = false }: Axis, direction: 'x' | 'y') {
  return {
    ...(categories === undefined
      ? {
          type: 'value',
          min: low,
          max: high,
          ...(whole ? { minInterval: 1 } : { interval: tickStep(high - low) }),
        }
      : { type: 'category', data: categories }),
    name: title,
    nameLocation: 'middle',
    nameGap: direction === 'x' ? 24 : 34,
    nameTextStyle: { color: ink, fontSize, fontFamily },
    axisLine: { show: true, lineStyle: { color: gridColour } },
    axisTick: { show: false },
    axisLabel: { color: ink, fontSize: fontSize - 1, fontFamily, hideOverlap: true },
    splitLine: { show: categories === undefined, lineStyle: { color: gridColour } },
  };
}

/** The distance of ticks that divides the range into two to seven equal parts; undefined (ECharts decides) if no round one does. */
function tickStep(range: number): number | undefined {
  const power = 10 ** Math.floor(Math.log10(range));
  const steps = [0.1, 0.2, 0.5, 1].map((step) => step * power);
  return steps.find((step) => {
    const parts = range / step;
    return parts > 1.5 && parts < 7.5 && Math.abs(parts - Math.round(parts)) < 1e-6;
  });
}

const gridOf = (legend: number) => ({ left: 48, right: 16, top: 10, bottom: 44 + legend });

const legendGap = 16; // of columns and of rows

/** Pixels of the legend's rows, estimated from the lengths of the names. */
function legendHeight(names: readonly string[]): number {
  let rows = 1;
  let used = 0;
  for (const name of names) {
    const room = Math.min(28, [...name].length) * 7 + 46;
    if (used > 0 && used + room > width - 16) {
      rows += 1;
      used = 0;
    }
    used += room;
  }
  return rows * (14 + legendGap) + 4;
}

const legendOf = (names: readonly string[]) => ({
  bottom: 0,
  left: 'center',
  width: width - 16,
  itemWidth: 26,
  itemGap: legendGap,
  itemHeight: 9,
  data: [...names],
  selectedMode: false,
  borderColor: 'transparent',
  textStyle: { color: ink, fontSize, fontFamily, width: 190, overflow: 'truncate' },
});
