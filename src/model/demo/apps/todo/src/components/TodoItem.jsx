export default function TodoItem({ todo, onChange, onRemove }) {
  return (
    <li className="group flex animate-enter items-center gap-4 px-5 py-4 transition-colors hover:bg-canvas/60">
      <label className="flex min-w-0 grow cursor-pointer items-center gap-4">
        <input
          type="checkbox"
          checked={todo.done}
          onChange={(event) => onChange(todo.id, { done: event.target.checked })}
          className="peer sr-only"
        />
        <span
          aria-hidden="true"
          className="grid size-6 shrink-0 place-items-center rounded-full border-2 border-muted/40 text-transparent transition peer-checked:border-accent peer-checked:bg-accent peer-checked:text-on-accent peer-focus-visible:ring-4 peer-focus-visible:ring-accent/25"
        >
          <svg viewBox="0 0 16 16" className="size-3.5" fill="none" stroke="currentColor" strokeWidth="2.5">
            <path d="M3 8.5l3.2 3L13 4.5" strokeLinecap="round" strokeLinejoin="round" />
          </svg>
        </span>
        <span className="min-w-0 wrap-anywhere transition peer-checked:text-muted peer-checked:line-through">
          {todo.text}
        </span>
      </label>
      <button
        type="button"
        onClick={() => onRemove(todo.id)}
        aria-label={`Delete “${todo.text}”`}
        className="grid size-8 shrink-0 place-items-center rounded-lg text-muted transition hover:bg-red-500/10 hover:text-red-500 focus-visible:opacity-100 sm:opacity-0 sm:group-hover:opacity-100"
      >
        <svg viewBox="0 0 16 16" className="size-4" fill="none" stroke="currentColor" strokeWidth="1.75">
          <path d="M4 4l8 8M12 4l-8 8" strokeLinecap="round" />
        </svg>
      </button>
    </li>
  )
}
