import { Area, AreaChart, CartesianGrid, Tooltip, XAxis, YAxis } from 'recharts'
import { money } from '../data.js'
import ChartTip from './ChartTip.jsx'

const TICK = { fill: 'var(--color-muted)', fontSize: 12 }

export default function RevenueChart({ data }) {
  return (
    <AreaChart
      responsive
      data={data}
      margin={{ top: 16, right: 8, bottom: 0, left: 0 }}
      style={{ width: '100%', height: 288 }}
    >
      <defs>
        <linearGradient id="fade" x1="0" y1="0" x2="0" y2="1">
          <stop offset="0%" stopColor="var(--color-accent)" stopOpacity={0.35} />
          <stop offset="100%" stopColor="var(--color-accent)" stopOpacity={0} />
        </linearGradient>
      </defs>
      <CartesianGrid vertical={false} stroke="var(--color-line)" />
      <XAxis dataKey="date" tick={TICK} tickLine={false} axisLine={false} minTickGap={48} tickMargin={10} />
      <YAxis tick={TICK} tickLine={false} axisLine={false} width={64} tickFormatter={(value) => money(value)} />
      <Tooltip content={<ChartTip format={money} />} cursor={{ stroke: 'var(--color-muted)', strokeDasharray: 4 }} />
      <Area
        type="monotone"
        dataKey="revenue"
        stroke="var(--color-accent)"
        strokeWidth={2.5}
        fill="url(#fade)"
        animationDuration={500}
      />
    </AreaChart>
  )
}
