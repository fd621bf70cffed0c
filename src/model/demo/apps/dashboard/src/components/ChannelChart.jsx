import { Bar, BarChart, LabelList, Tooltip, XAxis, YAxis } from 'recharts'
import ChartTip from './ChartTip.jsx'

export default function ChannelChart({ data }) {
  return (
    <BarChart
      responsive
      layout="vertical"
      data={data}
      margin={{ top: 12, right: 52, bottom: 4, left: 0 }}
      style={{ width: '100%', height: 288 }}
    >
      <XAxis type="number" hide />
      <YAxis
        type="category"
        dataKey="name"
        width={68}
        tick={{ fill: 'var(--color-ink)', fontSize: 13 }}
        tickLine={false}
        axisLine={false}
      />
      <Tooltip content={<ChartTip />} cursor={{ fill: 'var(--color-line)', opacity: 0.5 }} />
      <Bar dataKey="orders" fill="var(--color-accent)" radius={[6, 6, 6, 6]} barSize={22} animationDuration={500}>
        <LabelList dataKey="orders" position="right" fill="var(--color-muted)" fontSize={13} />
      </Bar>
    </BarChart>
  )
}
