export default function ChartTip({ active, payload, label, format = (value) => `${value} orders` }) {
  if (!active || !payload?.length) return null

  return (
    <div className="rounded-xl border border-line bg-surface px-3.5 py-2 text-sm shadow-lg">
      <p className="text-muted">{label}</p>
      <p className="font-semibold tabular-nums">{format(payload[0].value)}</p>
    </div>
  )
}
