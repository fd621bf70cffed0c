export default function Scores({ scores, turn, alone }) {
  const entries = [
    { id: 'X', name: alone ? 'You (X)' : 'X' },
    { id: 'draw', name: 'Draws' },
    { id: 'O', name: alone ? 'Computer (O)' : 'O' },
  ]

  return (
    <dl className="mt-6 grid grid-cols-3 gap-3 text-center">
      {entries.map(({ id, name }) => (
        <div
          key={id}
          data-turn={turn === id || undefined}
          className="flex flex-col-reverse rounded-2xl border border-transparent py-2 transition data-turn:border-line data-turn:bg-surface"
        >
          <dt className="text-xs font-medium text-muted">{name}</dt>
          <dd className="text-2xl font-bold tabular-nums">{scores[id]}</dd>
        </div>
      ))}
    </dl>
  )
}
