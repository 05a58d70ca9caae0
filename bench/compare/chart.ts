/** The chart of a comparison: for each row how many times as fast as each peer we are, with what is to be reached. */
import { createRequire } from 'node:module'
import { round } from '../bench.ts'
import type { Comparison } from './report.ts'

interface Bar {
  name: string
  ratio: number
  target: number | null
  withBlas: boolean
}

/** Chart library of bench/peers: nobody else needs one. */
interface ECharts {
  init(
    dom: null,
    theme: null,
    options: { renderer: 'svg'; ssr: true; width: number; height: number },
  ): { setOption(option: object): void; renderToSVGString(): string; dispose(): void }
}

const ROW_HEIGHT = 26
/** Of the bars. */
const WIDTH = 550
/** Of a letter of the labels, on the safe side: nothing measures text here. */
const LETTER = 7
const OWN = '#2f6f9f'
const BLAS = '#8fb8d6'
const TARGET = '#c2410c'

function bars(comparison: Comparison): Bar[] {
  return comparison.rows.flatMap((row) =>
    row.results
      // the many shapes of layers are in the table
      .filter((r) => row.row !== 'matmul-layers' || r.target !== null)
      .map((r) => ({
        name: `${short(row.row)}${row.results.some((x) => x.case !== r.case) ? ` ${r.case}` : ''}: ${r.peer.name}`,
        ratio: r.timesAsFast,
        target: r.target,
        withBlas: r.ours.name.includes('BLAS'),
      })),
  )
}

const short = (row: string): string => row.replaceAll('-', ' ')

const categories = (data: string[], position: 'left' | 'right') => ({
  type: 'category',
  position,
  data,
  axisTick: { show: false },
  axisLine: { show: false },
  axisLabel: { fontSize: 12, color: '#111827' },
})

/** SVG, or null where the library is not installed. */
export function chart(comparison: Comparison): string | null {
  let echarts: ECharts
  try {
    echarts = createRequire(new URL('../peers/package.json', import.meta.url))('echarts') as ECharts
  } catch {
    return null
  }
  // the first at the top
  const all = bars(comparison).reverse()
  const height = 110 + ROW_HEIGHT * all.length
  const labels = 24 + LETTER * Math.max(0, ...all.map((b) => b.name.length))
  const width = labels + WIDTH + 80
  const instance = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height })
  instance.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    title: {
      text: 'Tunesmith on the CPU: how many times as fast as its peers',
      subtext: `${comparison.machine.cpu}, ${comparison.machine.cores}, ${comparison.date}; median of ${comparison.rounds} neighbouring runs`,
      left: 16,
      top: 8,
      textStyle: { fontSize: 15 },
    },
    legend: { data: ['own kernels', 'with BLAS', 'to reach'], right: 16, top: 14, itemGap: 22 },
    grid: { left: labels, right: 80, top: 70, bottom: 30 },
    xAxis: {
      type: 'log',
      logBase: 2,
      min: (range: { min: number }) => Math.min(0.25, 2 ** Math.floor(Math.log2(range.min))),
      axisLabel: { formatter: (x: number) => `${x}x` },
      splitLine: { lineStyle: { color: '#e5e7eb' } },
    },
    yAxis: [
      categories(
        all.map((b) => b.name),
        'left',
      ),
      // the figures stand in a column of their own, where no mark covers them
      categories(
        all.map((b) => `${round(b.ratio, 3)}x`),
        'right',
      ),
    ],
    series: [
      {
        name: 'own kernels',
        type: 'bar',
        // each row has one of the two: they share its place
        barGap: '-100%',
        barWidth: 14,
        itemStyle: { color: OWN },
        data: all.map((b) => (b.withBlas ? '-' : b.ratio)),
        markLine: {
          symbol: 'none',
          silent: true,
          label: { show: false },
          lineStyle: { color: '#6b7280', type: 'solid', width: 1.5 },
          data: [{ xAxis: 1 }],
        },
      },
      {
        name: 'with BLAS',
        type: 'bar',
        barGap: '-100%',
        barWidth: 14,
        itemStyle: { color: BLAS },
        data: all.map((b) => (b.withBlas ? b.ratio : '-')),
      },
      {
        name: 'to reach',
        type: 'scatter',
        symbol: 'rect',
        symbolSize: [3, 20],
        itemStyle: { color: TARGET },
        data: all.map((b) => (b.target === null ? '-' : b.target)),
      },
    ],
  })
  const svg = instance.renderToSVGString()
  instance.dispose()
  return svg
}
