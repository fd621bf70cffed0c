import { COLUMNS } from '../useBoard.js'

export default function Card({ card, onMove, onRemove, onDrop }) {
  const at = COLUMNS.findIndex((column) => column.id === card.column)
  const left = COLUMNS[at - 1]
  const right = COLUMNS[at + 1]

  return (
    <li
      draggable
      onDragStart={(event) => event.dataTransfer.setData('text/plain', card.id)}
      onDrop={(event) => onDrop(event, card.id)}
      className="group animate-enter cursor-grab rounded-xl border border-line bg-surface p-4 shadow-xs transition hover:-translate-y-0.5 hover:shadow-md active:cursor-grabbing"
    >
      <p className="leading-snug wrap-anywhere">{card.text}</p>
      <footer className="mt-3 flex h-7 items-center justify-between">
        {card.tag ? (
          <span className="rounded-md bg-accent/10 px-2 py-0.5 text-xs font-medium text-accent-text">{card.tag}</span>
        ) : (
          <span />
        )}
        <span className="flex gap-0.5 transition group-focus-within:opacity-100 group-hover:opacity-100 sm:opacity-0">
          {left && <Action label={`Move to ${left.name}`} icon="←" onClick={() => onMove(card.id, left.id)} />}
          {right && <Action label={`Move to ${right.name}`} icon="→" onClick={() => onMove(card.id, right.id)} />}
          <Action label="Delete" icon="×" onClick={() => onRemove(card.id)} />
        </span>
      </footer>
    </li>
  )
}

function Action({ label, icon, onClick }) {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      onClick={onClick}
      className="grid size-7 place-items-center rounded-md text-muted transition hover:bg-canvas hover:text-ink"
    >
      {icon}
    </button>
  )
}
