export default function History({ entries }) {
  if (entries.length === 0) {
    return <p className="mt-8 flex h-16 items-center justify-center text-sm text-muted">Press plus to begin.</p>
  }

  const largest = Math.max(...entries.map((entry) => Math.abs(entry.change)))

  return (
    <ol className="mt-8 flex h-16 flex-row-reverse items-center justify-end gap-1.5" aria-label="Latest changes">
      {entries.map(({ id, change }) => (
        <li key={id} className="flex h-full flex-1 flex-col justify-center" title={`${change > 0 ? '+' : ''}${change}`}>
          <span className="sr-only">{change}</span>
          <span className="flex h-1/2 items-end">
            {change > 0 && <Bar part={change / largest} className="bg-accent" />}
          </span>
          <span className="flex h-1/2 items-start">
            {change < 0 && <Bar part={-change / largest} className="bg-muted/50" />}
          </span>
        </li>
      ))}
    </ol>
  )
}

function Bar({ part, className }) {
  return <span className={`w-full rounded-full ${className}`} style={{ height: `${20 + part * 80}%` }} />
}
