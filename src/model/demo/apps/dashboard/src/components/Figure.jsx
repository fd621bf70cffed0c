export default function Figure({ name, value, now, before, lessIsBetter = false }) {
  const change = before === 0 ? 0 : ((now - before) / before) * 100
  const good = lessIsBetter ? change <= 0 : change >= 0

  return (
    <article className="rounded-2xl border border-line bg-surface p-5">
      <h2 className="text-sm font-medium text-muted">{name}</h2>
      <p className="mt-2 text-3xl font-semibold tracking-tight tabular-nums">{value}</p>
      <p className={`mt-1 text-sm font-medium ${good ? 'text-good' : 'text-bad'}`}>
        <span aria-hidden="true">{change >= 0 ? '↑' : '↓'}</span> {Math.abs(change).toFixed(1)}%
        <span className="font-normal text-muted"> vs. previous period</span>
      </p>
    </article>
  )
}
