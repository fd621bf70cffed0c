import Column from './components/Column.jsx'
import { COLUMNS, useBoard } from './useBoard.js'

const TITLE = 'Launch plan'

export default function App() {
  const { cards, add, move, remove } = useBoard()
  const done = cards.filter((card) => card.column === 'done').length
  const percent = cards.length === 0 ? 0 : Math.round((done / cards.length) * 100)

  return (
    <div className="flex min-h-dvh flex-col bg-canvas text-ink antialiased">
      <main className="mx-auto flex w-full max-w-7xl grow flex-col p-4 sm:p-8">
        <header className="mb-6 flex flex-wrap items-end justify-between gap-4">
          <div>
            <h1 className="text-2xl font-semibold tracking-tight">{TITLE}</h1>
            <p className="mt-1 text-sm text-muted">Drag cards between columns, or use their arrows.</p>
          </div>
          <div className="w-full max-w-52" aria-label={`${percent}% done`} role="img">
            <p className="mb-1.5 flex justify-between text-sm font-medium">
              <span className="text-muted">Progress</span>
              <span className="tabular-nums">{percent}%</span>
            </p>
            <div className="h-2 overflow-hidden rounded-full bg-line">
              <div className="h-full rounded-full bg-accent transition-all duration-500" style={{ width: `${percent}%` }} />
            </div>
          </div>
        </header>

        <div className="grid grow items-start gap-4 md:grid-cols-3">
          {COLUMNS.map((column) => (
            <Column
              key={column.id}
              column={column}
              cards={cards.filter((card) => card.column === column.id)}
              onAdd={add}
              onMove={move}
              onRemove={remove}
            />
          ))}
        </div>
      </main>
    </div>
  )
}
