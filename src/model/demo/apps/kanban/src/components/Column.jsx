import { useState } from 'react'
import AddCard from './AddCard.jsx'
import Card from './Card.jsx'

const DOTS = { todo: 'bg-muted/60', doing: 'bg-amber-500', done: 'bg-emerald-500' }

export default function Column({ column, cards, onAdd, onMove, onRemove }) {
  const [over, setOver] = useState(false)

  function drop(event, before) {
    event.preventDefault()
    event.stopPropagation()
    setOver(false)
    onMove(Number(event.dataTransfer.getData('text/plain')), column.id, before)
  }

  return (
    <section
      aria-label={column.name}
      data-over={over || undefined}
      onDragOver={(event) => {
        event.preventDefault()
        setOver(true)
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
      className="rounded-2xl bg-lane p-3 ring-accent transition data-over:ring-2"
    >
      <header className="flex items-center gap-2.5 px-2 pt-1 pb-3">
        <span aria-hidden="true" className={`size-2.5 rounded-full ${DOTS[column.id]}`} />
        <h2 className="font-semibold">{column.name}</h2>
        <span className="text-sm text-muted tabular-nums">{cards.length}</span>
      </header>

      <ul className="grid gap-2.5">
        {cards.map((card) => (
          <Card key={card.id} card={card} onMove={onMove} onRemove={onRemove} onDrop={drop} />
        ))}
      </ul>
      {cards.length === 0 && (
        <p className="rounded-xl border-2 border-dashed border-line py-8 text-center text-sm text-muted">Drop a card here</p>
      )}

      <AddCard column={column} onAdd={onAdd} />
    </section>
  )
}
